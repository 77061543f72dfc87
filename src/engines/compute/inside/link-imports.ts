/** What a module imports, from what there is: an unknown function is there too, and fails only when it is called. */
import { meterImports } from '../wasm/meter-module.ts'
import type { Turns } from './scheduler.ts'
import { status } from './status.ts'

type Functions = Readonly<Record<string, unknown>>

/** All but the memories, which each instance has of its own. Throws a `LinkError` for an import that is not a function. */
export function linkImports(
  module: WebAssembly.Module,
  supported: Readonly<Record<string, Functions>>,
  turns: Turns,
): WebAssembly.Imports {
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {}
  for (const wanted of WebAssembly.Module.imports(module)) {
    if (wanted.module === meterImports.module) continue
    imports[wanted.module] ??= {}
    imports[wanted.module]![wanted.name] = importOf(wanted, supported, turns)
  }
  return imports
}

function importOf(
  { module, name, kind }: WebAssembly.ModuleImportDescriptor,
  supported: Readonly<Record<string, Functions>>,
  turns: Turns,
): WebAssembly.ImportValue {
  if (kind !== 'function') throw new WebAssembly.LinkError(`the import ${module}.${name} is a ${kind}.`)
  const known = supported[module]?.[name]
  if (known !== undefined) return known as WebAssembly.ImportValue
  return () => {
    turns.current()?.noteUnknown(`${module}.${name}`)
    if (module.startsWith('fastly_')) return status.unsupported
    throw new WebAssembly.RuntimeError(`${module}.${name} is not there`)
  }
}
