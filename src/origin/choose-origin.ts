/** Which origin of a pool is asked, and which ones after it when it fails. Pure. */
import type { Origin, OriginPool } from '#/core/origin.ts'

export interface Choice {
  readonly pool: OriginPool
  readonly isHealthy: (origin: Origin) => boolean
  /** In [0, 1), a new number each call. */
  readonly random: () => number
  /** Path and query, for `hash`. */
  readonly path: string
  /** Address of the client, for `client-hash`. */
  readonly client: string
}

export type Chosen =
  | { readonly kind: 'order'; readonly origins: readonly Origin[] }
  | { readonly kind: 'down'; readonly why: 'none-healthy' | 'below-quorum' }

/** The healthy origins in the order in which they are to be tried. */
export function chooseOrigins(choice: Choice): Chosen {
  const { pool } = choice
  const { origins } = pool
  if (origins.length === 1 && choice.isHealthy(origins[0]!)) return { kind: 'order', origins }
  const healthy = origins.filter(choice.isHealthy)
  if (healthy.length === 0) return { kind: 'down', why: 'none-healthy' }
  if (pool.quorum !== undefined && weightOf(healthy) * 100 < pool.quorum * weightOf(origins))
    return { kind: 'down', why: 'below-quorum' }
  return { kind: 'order', origins: inOrder(healthy, choice) }
}

function inOrder(healthy: readonly Origin[], { pool, random, path, client }: Choice): readonly Origin[] {
  switch (pool.choice) {
    case 'fallback':
      return healthy
    case 'weighted-random':
      return byDraw(healthy, random)
    case 'hash':
      return byHash(healthy, path)
    case 'client-hash':
      return byHash(healthy, client)
  }
}

/**
 * Sorts by `-ln(u) / weight`, smallest first: the first has its weight's share, and so have the ones after it among those
 * left (Efraimidis and Spirakis 2006). With `u` from a hash this is weighted rendezvous hashing (Thaler and Ravishankar
 * 1998): an origin that goes moves nothing but its own share.
 */
function byDraw(origins: readonly Origin[], draw: (origin: Origin) => number): readonly Origin[] {
  return origins
    .map((origin) => ({ origin, time: -Math.log(1 - draw(origin)) / origin.weight }))
    .sort((one, other) => one.time - other.time)
    .map(({ origin }) => origin)
}

function byHash(origins: readonly Origin[], text: string): readonly Origin[] {
  const hash = fnv(text)
  return byDraw(origins, ({ name }) => uniform(hash ^ fnv(name)))
}

/** The finalizer of MurmurHash3, as a number in [0, 1). */
function uniform(given: number): number {
  let hash = Math.imul(given ^ (given >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 4_294_967_296
}

/** FNV-1a over UTF-16 units. */
function fnv(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash
}

function weightOf(origins: readonly Origin[]): number {
  let sum = 0
  for (const { weight } of origins) sum += weight
  return sum
}
