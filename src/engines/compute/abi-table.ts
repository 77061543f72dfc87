/** What this platform does with each function of the ABI, derived from the tables of host calls. */
import { abiDifferences, abiRefusals } from './abi-differences.ts'
import { abiNames } from './abi-names.ts'
import type { HostcallModule } from './inside/hostcall.ts'

export interface AbiRow {
  readonly module: string
  readonly name: string
  readonly state: 'works' | 'differs' | 'unsupported'
  /** How it differs, or why it is not there. */
  readonly note?: string
}

/** In the order of the public description. An unsupported function can be imported; calling it answers `unsupported`. */
export function abiTable(modules: readonly HostcallModule[]): readonly AbiRow[] {
  const ours = new Set(modules.flatMap(({ name, calls }) => Object.keys(calls).map((call) => `${name}.${call}`)))
  return Object.entries(abiNames).flatMap(([module, names]) =>
    names.map((name): AbiRow => {
      const full = `${module}.${name}`
      const refused = abiRefusals[full]
      if (refused !== undefined) return { module, name, state: 'unsupported', note: refused }
      const note = abiDifferences[full] ?? abiDifferences[`${module}.*`]
      const noted = note === undefined ? {} : { note }
      if (!ours.has(full)) return { module, name, state: 'unsupported', ...noted }
      return { module, name, state: abiDifferences[full] === undefined ? 'works' : 'differs', ...noted }
    }),
  )
}
