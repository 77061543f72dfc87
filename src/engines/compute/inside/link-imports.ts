/** What a module imports, from what there is: an unknown function is there too, and fails only when it is called. */
import type { Turns } from './scheduler.ts'
import { status } from './status.ts'

type Functions = Readonly<Record<string, unknown>>

/** Import module and name of the word that stops a program; `wasm/meter-module.ts` writes the import. */
export const stopImport = { module: 'rimward', name: 'stop' } as const

/** Throws a `LinkError` for an import that is not a function. */
export function linkImports(
  module: WebAssembly.Module,
  supported: Readonly<Record<string, Functions>>,
  stop: WebAssembly.Memory,
  turns: Turns,
): WebAssembly.Imports {
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {}
  for (const wanted of WebAssembly.Module.imports(module)) {
    imports[wanted.module] ??= {}
    imports[wanted.module]![wanted.name] = importOf(wanted, supported, stop, turns)
  }
  return imports
}

function importOf(
  { module, name, kind }: WebAssembly.ModuleImportDescriptor,
  supported: Readonly<Record<string, Functions>>,
  stop: WebAssembly.Memory,
  turns: Turns,
): WebAssembly.ImportValue {
  if (module === stopImport.module && name === stopImport.name && kind === 'memory') return stop
  if (kind !== 'function') throw new WebAssembly.LinkError(`the import ${module}.${name} is a ${kind}.`)
  const known = supported[module]?.[name]
  if (known !== undefined) return known as WebAssembly.ImportValue
  return () => {
    turns.current()?.noteUnknown(`${module}.${name}`)
    if (module.startsWith('fastly_')) return status.unsupported
    throw new WebAssembly.RuntimeError(`${module}.${name} is not there`)
  }
}
