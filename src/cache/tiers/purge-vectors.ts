/** Vectors of purges: what was applied of each origin. */
import type { PurgeOrigin, PurgeVector } from '#/core/tiers.ts'

/** Is there more in the vector than was applied? */
export function exceeds(vector: PurgeVector, last: (origin: PurgeOrigin) => number): boolean {
  for (const [origin, number] of Object.entries(vector)) if (number > last(origin)) return true
  return false
}

export function partOf(vector: PurgeVector, origins: readonly PurgeOrigin[]): PurgeVector {
  return Object.fromEntries(origins.flatMap((origin) => (origin in vector ? [[origin, vector[origin]!]] : [])))
}

/** Of a message; what is no vector is an empty one. */
export function readVector(value: unknown): PurgeVector {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(Object.entries(value).filter(([, number]) => Number.isSafeInteger(number) && number > 0))
}
