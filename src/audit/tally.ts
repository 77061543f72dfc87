/** Adds up what is found, by owner and place. */
import type { Holding, Owner } from '#/core/holdings.ts'
import type { Bytes } from '#/core/units.ts'

export interface Tally {
  add(owner: Owner, place: string, bytes: Bytes): void
  readonly holdings: readonly Holding[]
}

export function createTally(): Tally {
  const found = new Map<string, { count: number; bytes: Bytes } & Owner & { place: string }>()
  return {
    add(owner, place, bytes) {
      const key = `${owner.kind} ${owner.id} ${place}`
      const known = found.get(key)
      if (known === undefined) found.set(key, { ...owner, place, count: 1, bytes })
      else {
        known.count++
        known.bytes += bytes
      }
    },
    get holdings() {
      return [...found.values()]
    },
  }
}
