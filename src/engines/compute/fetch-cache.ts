/** What a program's request asks of the shared cache, and what its answer says of it. */
import type { CacheWish } from '#/core/cache-policy.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { CacheOutcome, EgressAnswer } from '#/core/ports.ts'
import type { FetchCache } from './fetch-protocol.ts'

/** Fastly keeps an answer that says nothing for two minutes (developer docs, «Cache freshness and TTLs»). */
const policy = { defaultTtl: 120 } as const
const asAnswered: CacheWish = { policy }
const past: CacheWish = { bypass: true }

/** Undefined: `send_v3`, which leaves caching to the program. */
export function wishOf(cache: FetchCache | undefined): CacheWish {
  if (cache === undefined || cache.pass) return past
  const { ttl, staleWhileRevalidate, memoryOnly, surrogateKey } = cache
  if (ttl === undefined && staleWhileRevalidate === undefined && !memoryOnly && surrogateKey === '') return asAnswered
  return {
    policy,
    ...(ttl !== undefined && { ttl }),
    ...(staleWhileRevalidate !== undefined && { staleWhileRevalidate }),
    ...(memoryOnly && { memoryOnly }),
    ...(surrogateKey !== '' && { tags: surrogateKey.split(/\s+/) }),
  }
}

/** Fastly says HIT for whatever came out of its store. */
const hits: ReadonlySet<CacheOutcome> = new Set(['hit', 'stale', 'updating', 'revalidated'])

/** Appends to `headers`. */
export function addCacheFields(headers: HeaderList, { cacheOutcome, cacheHits, cacheStatus }: EgressAnswer): void {
  if (cacheOutcome === undefined) return
  headers.push('x-cache', hits.has(cacheOutcome) ? 'HIT' : 'MISS', 'x-cache-hits', String(cacheHits ?? 0))
  if (cacheStatus !== undefined) headers.push('cache-status', cacheStatus)
}
