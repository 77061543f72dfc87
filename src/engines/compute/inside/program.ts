/** A program in this cell: its compiled code, and instances of it that are used again when they are as new. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { PreparedSheet } from '../prepared-files.ts'
import type { ProgramFacts } from '../protocol.ts'
import {
  type BlankInstance,
  bindImage,
  type ImageSource,
  type KeptInstance,
  type KeptParts,
  openBlank,
  openImageSourceFile,
} from '../wasm/reset-instance.ts'
import type { PageScan } from '../wasm/scan-pages.ts'
import type { CompiledCode } from './compiled-code.ts'
import { GuestMemory } from './memory.ts'
import type { NextRequest } from './session.ts'

/** The caps that the node gives a cell at its start; see `core/limits.ts`. */
export interface CellLimits {
  readonly cpuMs: number
  /** More, while V8 compiles the program's functions as they are first called. */
  readonly warmUpMs: number
  readonly wallMs: number
  readonly handles: number
  readonly bodyBytes: number
  readonly fetches: number
  readonly headerBytes: number
  readonly urlBytes: number
  readonly frameBytes: number
  readonly windowBytes: number
  readonly logBytes: number
  /** Instances of one program that wait for their next request. */
  readonly idleInstances: number
  readonly idleMs: number
  readonly dropPages: number
  /** Of several requests in one instance, for programs that ask for it. */
  readonly reuseRequests: number
  readonly reuseMs: number
  readonly reuseIdleMs: number
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
  /** How long its turns took lately, ms. */
  turnMs: number
  /** Requests so far. */
  requests: number
  /** Instances that would take another request. */
  readonly waiting: Set<NextRequest>
  setDictionaries(dictionaries: ProgramFacts['dictionaries']): void
  /** In its first state. Throws what instantiation throws. */
  take(): GuestInstance
  /** `clean`: it ran to its end with no call pending, so that it may serve again once it is as new. */
  give(instance: GuestInstance, clean: boolean): void
  /** Lets go of instances that wait. */
  rest(): void
}

/** What a cell has once for all its programs. */
export interface Workshop {
  readonly stop: WebAssembly.Memory
  /** Compiled code by file: programs of one SDK version share it. */
  compile(file: string): Promise<CompiledCode>
  readonly scan: PageScan | undefined
  readonly limits: CellLimits
  /** Called before instances are made as new while nobody waits for them: what others wait for goes first. */
  beforeCleaning(): void
}

/** Rejects with V8's words for what it cannot compile or link. */
export async function loadProgram(
  id: string,
  sheetFile: string,
  given: ProgramFacts,
  workshop: Workshop,
): Promise<LoadedProgram> {
  // A few hundred bytes that a request waits for: read at once, not by four visits to other threads.
  const sheet = JSON.parse(readFileSync(sheetFile, 'utf8')) as PreparedSheet
  const beside = (name: string) => join(dirname(sheetFile), name)
  const code = await workshop.compile(beside(sheet.program.code))
  const image = sheet.program.kind === 'kept' ? beside(sheet.program.image) : undefined
  const instances = createInstances(sheet, code, image, workshop)
  const waiting = new Set<NextRequest>()
  let facts = given
  return {
    id,
    get facts() {
      return facts
    },
    turnMs: 0,
    requests: 0,
    waiting,
    setDictionaries(dictionaries) {
      facts = { ...facts, dictionaries }
    },
    ...instances,
    rest() {
      instances.rest()
      for (const next of waiting) next.end()
    },
  }
}

const wasmPageBytes = 65_536

type Instances = Pick<LoadedProgram, 'take' | 'give' | 'rest'>

function createInstances(
  sheet: PreparedSheet,
  code: CompiledCode,
  image: string | undefined,
  workshop: Workshop,
): Instances {
  const { module, imports } = code
  const importsWith = (memory: WebAssembly.Memory | undefined): WebAssembly.Imports => ({
    ...imports,
    rimward: { stop: workshop.stop, ...(memory !== undefined && { memory }) },
  })
  let used = false
  const how = (): 'cold' | 'warm' => {
    const first = !used
    used = true
    return first ? 'cold' : 'warm'
  }
  if (image === undefined || sheet.program.kind !== 'kept')
    return {
      take() {
        const memory = sheet.memory && new WebAssembly.Memory(sheet.memory)
        const instance = new WebAssembly.Instance(module, importsWith(memory))
        return { ...openGuest(instance, memory), how: how() }
      },
      give() {},
      rest() {},
    }
  const globals = sheet.program.values.map((value) => (typeof value === 'number' ? value : BigInt(value.bigint)))
  const bytes = (sheet.memory?.initial ?? 0) * wasmPageBytes
  const source = openImageSourceFile(image, bytes, globals, workshop.scan)
  const parts: KeptParts = { module, globals: sheet.globals, memory: sheet.memory, imports: importsWith }
  const open = source.strategy === 'pages' ? () => code.takeBlank(parts) : () => openBlank(parts)
  return createPool(open, source, how, workshop)
}

/** An instance that is kept, and its guest as the next request gets it. */
interface Kept extends GuestInstance {
  readonly kept: KeptInstance
}

/** Instances that wait: made as new when they are taken, or before, when there is time. */
function createPool(
  open: () => BlankInstance,
  source: ImageSource,
  how: () => 'cold' | 'warm',
  { limits, beforeCleaning }: Pick<Workshop, 'limits' | 'beforeCleaning'>,
): Instances {
  const fresh: Kept[] = []
  const soiled: Kept[] = []
  let cleaning = false

  function clean(): void {
    cleaning = false
    beforeCleaning()
    for (const one of soiled.splice(0)) if (one.kept.reset().ok) fresh.push(one)
  }

  return {
    take() {
      for (;;) {
        const ready = fresh.pop()
        if (ready !== undefined) return ready
        const one = soiled.pop()
        if (one === undefined) break
        if (one.kept.reset().ok) return one
      }
      const kept = bindImage(open(), source)
      if (kept === undefined) throw new RangeError('the image cannot be laid over the memory')
      return { ...openGuest(kept.instance, kept.memory), kept, how: how() } as GuestInstance
    },
    give(instance, isClean) {
      if (!isClean || fresh.length + soiled.length >= limits.idleInstances) return
      const one = instance as Kept
      soiled.push(one.how === 'pooled' ? one : { ...one, how: 'pooled' })
      if (cleaning) return
      cleaning = true
      setImmediate(clean)
    },
    rest() {
      fresh.length = 0
      soiled.length = 0
    },
  }
}

function openGuest(
  instance: WebAssembly.Instance,
  memory: WebAssembly.Memory | undefined,
): Pick<GuestInstance, 'memory' | 'start'> {
  const { _start } = instance.exports
  if (memory === undefined) throw new WebAssembly.LinkError('it has no memory.')
  if (typeof _start !== 'function') throw new WebAssembly.LinkError('it exports no _start.')
  return { memory: new GuestMemory(memory), start: WebAssembly.promising(_start) }
}
