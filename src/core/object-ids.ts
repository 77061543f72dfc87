/**
 * Ids of Durable Objects that are bound to a jurisdiction. An id has 16 bytes of its own and 16 that prove the namespace
 * (workerd, `actor-id-impl.c++`). Where there is a jurisdiction, the last 6 of its own bytes say which: 4 bytes of a keyed
 * hash and 2 of a code, so that every node reads it from the id alone. `inside/objects-env.worker.ts` makes them.
 */
import { createHash, createHmac } from 'node:crypto'
import type { Within } from './pops.ts'
import { countries, countryGroups } from './residency.ts'

/** Bytes of an id that are random or made from a name, where the id has a jurisdiction. */
export const freeBytes = 10

/** Two letters for each group whose name is longer; countries are their own code. */
const groupCodes: ReadonlyMap<string, string> = new Map([
  ['eu', 'eu'],
  ['us', 'us'],
  ['eea', '+e'],
  ['fedramp', '+f'],
])

/** Every jurisdiction that an id can have, with its code. */
export function jurisdictionCodes(): Record<string, string> {
  const own = [...countries].map((country) => [country.toLowerCase(), country.toLowerCase()])
  return Object.fromEntries([...own, ...groupCodes])
}

/** Countries of a jurisdiction as ids and Workers name it; `undefined` where there is none of that name. */
export function withinOf(jurisdiction: string): Within | undefined {
  const group = countryGroups.get(jurisdiction)
  if (group !== undefined) return group
  const country = jurisdiction.toUpperCase()
  return countries.has(country) ? [country] : undefined
}

/** The jurisdiction in an id, e.g. `eu`. An id without one is taken for one with a chance of 2^-38. */
export function jurisdictionOf(key: string, id: string): string | undefined {
  const bytes = Buffer.from(id, 'hex')
  const code = bytes.toString('latin1', freeBytes + 4, freeBytes + 6)
  const proof = jurisdictionProof(key, bytes.subarray(0, freeBytes), code)
  if (!proof.equals(bytes.subarray(freeBytes, freeBytes + 4))) return undefined
  const group = [...groupCodes].find(([, groupCode]) => groupCode === code)
  if (group !== undefined) return group[0]
  return countries.has(code.toUpperCase()) ? code : undefined
}

function jurisdictionProof(key: string, free: Uint8Array, code: string): Buffer {
  return createHmac('sha256', idKey(key))
    .update('jurisdiction')
    .update(free)
    .update(code, 'latin1')
    .digest()
    .subarray(0, 4)
}

/** What workerd keys a namespace's ids with. */
export function idKey(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
