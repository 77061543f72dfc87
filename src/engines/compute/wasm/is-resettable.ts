import { isNumber } from './meter-module.ts'
import type { WasmModule } from './module-shape.ts'
import type { CodeScan } from './scan-code.ts'

/** One thing of a module that would outlive a request if its memory and numbers alone were put back. */
export interface KeptState {
  readonly why:
    | 'table-write'
    | 'element-drop'
    | 'data-segment'
    | 'imported-memory'
    | 'imported-table'
    | 'imported-global'
    | 'several-memories'
    | 'shared-memory'
    | 'mutable-reference'
  /** Byte of the module where it shows, if one place does. */
  readonly offset: number | undefined
  readonly detail: string
}

/**
 * Why an instance of this module cannot be made as good as new by restoring its memory and its numeric globals; empty
 * where it can. The rest of an instance is then constant: code, tables that nothing writes, segments that nothing drops or
 * reads after the start. Objects of the collector, which a constant may hold, `rewriteModule` refuses. Growth of the memory shows at run time; such an instance is not kept.
 */
export function keptState(module: WasmModule, scan: CodeScan): readonly KeptState[] {
  const found: KeptState[] = []
  const add = (why: KeptState['why'], detail: string, offset?: number) => found.push({ why, offset, detail })
  for (const [use, offset] of scan.uses) {
    if (use === 'table-write') add(use, 'An instruction writes a table.', offset)
    if (use === 'element-drop') add(use, 'An instruction drops an element segment.', offset)
    if (use === 'data-segment') add(use, 'An instruction reads or drops a data segment after the start.', offset)
  }
  for (const { kind, module: from, name, ...rest } of module.imports) {
    if (kind === 'memory') add('imported-memory', `Memory ${from}.${name} is imported.`)
    if (kind === 'table') add('imported-table', `Table ${from}.${name} is imported.`)
    if (kind === 'global' && 'mutable' in rest && rest.mutable)
      add('imported-global', `Mutable global ${from}.${name} is imported.`)
  }
  if (module.memories.length > 1) add('several-memories', 'There is more than one memory.')
  if (module.memories.some((memory) => memory.limits.shared)) add('shared-memory', 'The memory is shared by threads.')
  for (const { type, mutable, start } of module.globals)
    if (mutable && !isNumber(type)) add('mutable-reference', `A mutable global is of type ${type}.`, start)
  return found
}
