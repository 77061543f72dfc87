import { meterImports } from './meter-module.ts'
import type { RewrittenModule } from './rewrite-module.ts'

/** The state of a fresh instance, after its start function. */
export interface StateImage {
  /** All of its memory; empty where it has none. */
  readonly memory: Uint8Array
  /** Values of the globals that the metered module names, in that order. */
  readonly globals: readonly (number | bigint)[]
}

export type ImageOutcome =
  | { readonly ok: true; readonly image: StateImage }
  | {
      readonly ok: false
      readonly why: 'start-calls-host' | 'start-trapped' | 'start-grew-memory'
      readonly detail: string
    }

/**
 * Instantiates the whole program once, with host calls that fail, and keeps its state. `stop` is the memory whose first
 * word ends a start function that does not end. Throws what instantiation throws for other reasons than the start:
 * `WebAssembly.LinkError`, or RangeError where no memory is left.
 */
export function takeImage(
  module: WebAssembly.Module,
  { whole, facts }: Pick<RewrittenModule, 'whole' | 'facts'>,
  stop: WebAssembly.Memory,
): ImageOutcome {
  const memory = whole.memory === undefined ? undefined : new WebAssembly.Memory(whole.memory)
  const imports: WebAssembly.Imports = {}
  // A program may catch what host calls throw, so it is remembered too.
  let called: string | undefined
  fillImports(imports, module, (name) => {
    called ??= name
    throw new Error(name)
  })
  imports[meterImports.module] = {
    ...imports[meterImports.module],
    [meterImports.stop]: stop,
    ...(memory === undefined ? {} : { [meterImports.memory]: memory }),
  }
  let instance: WebAssembly.Instance | undefined
  try {
    instance = new WebAssembly.Instance(module, imports)
  } catch (thrown) {
    if (thrown instanceof WebAssembly.RuntimeError && facts.start !== undefined)
      return { ok: false, why: 'start-trapped', detail: thrown.message }
    if (called === undefined) throw thrown
  }
  if (instance === undefined || called !== undefined)
    return { ok: false, why: 'start-calls-host', detail: `The start function calls ${called}.` }
  const bytes = memory === undefined ? new Uint8Array(0) : new Uint8Array(memory.buffer)
  if (bytes.length !== (whole.memory?.initial ?? 0) * 65_536)
    return { ok: false, why: 'start-grew-memory', detail: `It has ${bytes.length} bytes after the start.` }
  return { ok: true, image: { memory: bytes.slice(), globals: globalsOf(instance, whole.globals).map(readGlobal) } }
}

/** The globals that a metered or split module exports for us. */
export function globalsOf(instance: WebAssembly.Instance, names: readonly string[]): WebAssembly.Global[] {
  return names.map((name) => instance.exports[name] as WebAssembly.Global)
}

function readGlobal(global: WebAssembly.Global): number | bigint {
  return global.value as number | bigint
}

function fillImports(imports: WebAssembly.Imports, module: WebAssembly.Module, called: (name: string) => never): void {
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module))
    if (kind === 'function') imports[from] = { ...imports[from], [name]: () => called(`${from}.${name}`) }
}
