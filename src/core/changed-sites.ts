/** What differs between two Snapshots, where what did not change is the same object. */
import { differences } from './kept-map.ts'
import { keysOf, type SiteList } from './site-list.ts'
import type { Program, Site, Snapshot } from './snapshot.ts'

export interface Changed<Part> {
  /** Were in the one before, and are not in the one after. */
  readonly gone: readonly Part[]
  /** Are in the one after, and were not in the one before. A part that became another is in both. */
  readonly come: readonly Part[]
}

/**
 * Where one list came of the other it costs what differs. Of arrays it is what lies between the parts that both begin and end
 * with: what was changed, and, where several were, what stands between them.
 */
export function changedSites(before: SiteList, after: SiteList): Changed<Site> {
  const [one, other] = [keysOf(before), keysOf(after)]
  if (one !== undefined && other !== undefined) return changed(one, other)
  return compare([...before], [...after])
}

export function changedPrograms(before: Snapshot['programs'], after: Snapshot['programs']): Changed<Program> {
  return changed(before, after)
}

function changed<Part extends object>(
  before: ReadonlyMap<string, Part>,
  after: ReadonlyMap<string, Part>,
): Changed<Part> {
  const gone: Part[] = []
  const come: Part[] = []
  for (const difference of differences(before, after)) {
    if (difference.before !== undefined) gone.push(difference.before)
    if (difference.after !== undefined) come.push(difference.after)
  }
  return { gone, come }
}

function compare(before: readonly Site[], after: readonly Site[]): Changed<Site> {
  const shorter = Math.min(before.length, after.length)
  let at = 0
  while (at < shorter && before[at] === after[at]) at++
  let tail = 0
  while (tail < shorter - at && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++
  return { gone: before.slice(at, before.length - tail), come: after.slice(at, after.length - tail) }
}
