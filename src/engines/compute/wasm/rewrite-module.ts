import type { Limits } from '#/core/limits.ts'
import { type KeptState, keptState } from './is-resettable.ts'
import { type MeteredModule, meterModule } from './meter-module.ts'
import { fail, faultsAsValues, type ModuleFault, type Outcome } from './module-fault.ts'
import type { WasmModule } from './module-shape.ts'
import { readModule } from './read-module.ts'
import { scanCode } from './scan-code.ts'
import { type SplitModule, splitModule } from './split-module.ts'

/** Everything that an engine needs to run a module: made once, at deploy. */
export interface RewrittenModule {
  readonly facts: WasmModule
  /** The whole program, stoppable. Instances of it are used once, and its image is taken from one. */
  readonly whole: MeteredModule
  /** The code alone, for instances that are kept and reset; or why they cannot be. */
  readonly kept:
    | { readonly ok: true; readonly code: SplitModule }
    | { readonly ok: false; readonly reasons: readonly KeptState[] }
}

export type ModuleLimits = Pick<Limits, 'computeMemoryPages' | 'computeTableEntries'>

/**
 * Reads, checks, meters and splits a module; 0.3 s for the 11.5 MB of the JavaScript SDK. Refused are modules that V8 does
 * not take, that nothing could stop (an instruction that is not known here), or whose memory has no bound.
 */
export function rewriteModule(bytes: Uint8Array, limits: ModuleLimits): Outcome<RewrittenModule> {
  return faultsAsValues(() => {
    const facts = orFail(readModule(bytes))
    // Before anything is added: an index that is wrong now could mean what we add.
    checkValid(bytes)
    checkTables(facts, limits.computeTableEntries)
    const scan = orFail(scanCode(facts))
    const whole = orFail(meterModule(facts, scan, limits.computeMemoryPages))
    const reasons = keptState(facts, scan)
    if (reasons.length > 0) return { facts, whole, kept: { ok: false, reasons } }
    return { facts, whole, kept: { ok: true, code: splitModule(orFail(readModule(whole.bytes))) } }
  })
}

function orFail<T>(outcome: Outcome<T>): T {
  return outcome.ok ? outcome.value : fail(outcome.fault.fault, outcome.fault.offset, outcome.fault.detail)
}

function checkValid(bytes: Uint8Array): void {
  try {
    new WebAssembly.Module(bytes)
  } catch (thrown) {
    if (thrown instanceof WebAssembly.CompileError) fail('invalid', 0, thrown.message)
    throw thrown
  }
}

/** What lies outside the memory of a program must have a bound too: entries of tables, and no objects of the collector. */
function checkTables(module: WasmModule, entries: number): void {
  if (module.types.some((type) => type.kind !== 'func'))
    fail('unsupported', 0, 'The module has struct or array types; objects of the collector are not supported.')
  const wanted = module.tables.reduce((sum, table) => sum + table.limits.minimum, 0)
  if (wanted > entries) fail('too-large', 0, `The tables have ${wanted} entries; ${entries} are granted.`)
}

/** A fault as the sentence that a refusal shows. */
export function faultText({ detail, offset }: ModuleFault): string {
  return offset === 0 ? detail : `${detail} (at byte ${offset})`
}
