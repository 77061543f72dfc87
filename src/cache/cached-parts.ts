/** What every request through the cache works with. */
import type { Flight, FlightParts } from './flight.ts'
import type { StoredAnswer, StoredHead } from './store.ts'

export interface CachedParts extends FlightParts {
  /** What may be joined. */
  readonly flights: Map<string, Flight>
  /** How often a stored answer was used. */
  readonly uses: WeakMap<StoredHead, number>
  readonly coding: Set<string>
}

/** How often the answer was used, this time included. */
export function countUse({ head }: StoredAnswer, { uses }: CachedParts): number {
  const times = (uses.get(head) ?? 0) + 1
  uses.set(head, times)
  return times
}
