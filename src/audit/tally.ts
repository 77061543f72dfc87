/** Adds up what is found, by owner and place. */
import type { Holding, Owner } from '#/core/holdings.ts'
import type { Within } from '#/core/pops.ts'
import type { Bytes } from '#/core/units.ts'

export interface Tally {
  /** `within`: countries that the place itself is for. */
  add(owner: Owner, place: string, bytes: Bytes, within?: Within): void
  readonly holdings: readonly Holding[]
}

export function createTally(): Tally {
  const found = new Map<string, { -readonly [Field in keyof Holding]: Holding[Field] }>()
  return {
    add(owner, place, bytes, within) {
      const key = `${owner.kind} ${owner.id} ${place} ${within ?? ''}`
      const known = found.get(key)
      if (known === undefined) found.set(key, { ...owner, place, count: 1, bytes, ...(within && { within }) })
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
