/** A program in this cell: its compiled module, and instances of it. */
import { readFile } from 'node:fs/promises'
import type { ProgramFacts } from '../protocol.ts'
import { GuestMemory } from './memory.ts'

/** The caps that the node gives a cell at its start; see `core/limits.ts`. */
export interface CellLimits {
  readonly cpuMs: number
  readonly wallMs: number
  readonly handles: number
  readonly bodyBytes: number
  readonly fetches: number
  readonly headerBytes: number
  readonly urlBytes: number
  readonly frameBytes: number
  readonly windowBytes: number
  readonly logBytes: number
  /** Tell the node which host calls are made, each once. */
  readonly tellCalls: boolean
}

/** One instance with what the engine calls of it. */
export interface GuestInstance {
  readonly memory: GuestMemory
  /** `_start`, wrapped so that host calls may suspend it. */
  readonly start: () => Promise<unknown>
  readonly how: 'cold' | 'warm' | 'pooled'
}

export interface LoadedProgram {
  readonly id: string
  readonly facts: ProgramFacts
  /** Throws what instantiation throws: the program's fault. */
  take(): GuestInstance
  /** `clean`: it ran to its end, so that its memory may be made fresh for the next request. */
  give(instance: GuestInstance, clean: boolean): void
}

/** Compiles off this thread. Rejects with V8's words for a module that does not validate. */
export async function loadProgram(
  id: string,
  file: string,
  facts: ProgramFacts,
  importsOf: (module: WebAssembly.Module) => WebAssembly.Imports,
): Promise<LoadedProgram> {
  const module = await WebAssembly.compile(await readFile(file))
  const imports = importsOf(module)
  let used = false
  return {
    id,
    facts,
    take() {
      const instance = new WebAssembly.Instance(module, imports)
      const { memory, _start } = instance.exports
      if (!(memory instanceof WebAssembly.Memory)) throw new WebAssembly.LinkError('it exports no memory.')
      if (typeof _start !== 'function') throw new WebAssembly.LinkError('it exports no _start.')
      const start = used ? 'warm' : 'cold'
      used = true
      return { memory: new GuestMemory(memory), start: WebAssembly.promising(_start), how: start }
    },
    give() {},
  }
}
