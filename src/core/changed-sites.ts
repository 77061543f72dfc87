/** What differs between two Snapshots' lists of sites, where what did not change is the same object at the same turn. */
import type { Site } from './snapshot.ts'

export interface ChangedSites {
  /** Of the list before, in its order. */
  readonly gone: readonly Site[]
  /** Of the list after, in its order. */
  readonly come: readonly Site[]
  /** Where in the list after the first of `come` stands. */
  readonly at: number
}

/** By the list after; that before is not kept alive, or each would keep the one before it. */
const known = new WeakMap<
  readonly Site[],
  { readonly before: WeakRef<readonly Site[]>; readonly changed: ChangedSites }
>()

/**
 * What lies between the parts that both begin and end with: what was changed, and, where several were, what stands between
 * them. It costs a comparison of pointers a site, once for two lists that are asked about again.
 */
export function changedSites(before: readonly Site[], after: readonly Site[]): ChangedSites {
  const found = known.get(after)
  if (found?.before.deref() === before) return found.changed
  const changed = compare(before, after)
  known.set(after, { before: new WeakRef(before), changed })
  return changed
}

function compare(before: readonly Site[], after: readonly Site[]): ChangedSites {
  const shorter = Math.min(before.length, after.length)
  let at = 0
  while (at < shorter && before[at] === after[at]) at++
  let tail = 0
  while (tail < shorter - at && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++
  return { gone: before.slice(at, before.length - tail), come: after.slice(at, after.length - tail), at }
}
