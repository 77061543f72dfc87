/** What the shared cache did, in the header fields that people and programs look for. */
import type { CacheOutcome, EgressAnswer } from '#/core/ports.ts'
import type { TierAnswer } from '#/core/tiers.ts'

/** Cloudflare's words (developers.cloudflare.com/cache/concepts/cache-responses). */
const cloudflareWords: Readonly<Record<CacheOutcome, string>> = {
  hit: 'HIT',
  miss: 'MISS',
  expired: 'EXPIRED',
  stale: 'STALE',
  updating: 'UPDATING',
  revalidated: 'REVALIDATED',
  bypass: 'BYPASS',
  dynamic: 'DYNAMIC',
}

/** Fastly says HIT for whatever came out of its store. */
export const fromStore: ReadonlySet<CacheOutcome> = new Set(['hit', 'stale', 'updating', 'revalidated'])

/** Appends to `answer.headers`, which is the request's own list. */
export function addCacheHeaders({ headers, cacheStatus, cacheOutcome, cacheHits, tier }: EgressAnswer): void {
  if (cacheStatus === undefined || cacheOutcome === undefined) return
  headers.push(
    'cache-status',
    tier === undefined ? cacheStatus : inOrder(cacheStatus, tier),
    'cf-cache-status',
    cloudflareWords[cacheOutcome],
    'x-cache',
    fromStore.has(cacheOutcome) ? 'HIT' : 'MISS',
    'x-cache-hits',
    String(cacheHits ?? 0),
    'via',
    '1.1 rimward',
  )
}

/** RFC 9211 §2: the cache nearest to the origin comes first. A parameter of ours tells whose member it is. */
function inOrder(own: string, tier: TierAnswer): string {
  if (tier.kind === 'away') return own.includes('; detail=') ? own : `${own}; detail=shield-away`
  return tier.cacheStatus === undefined ? own : `${tier.cacheStatus}; rimward-pop=${tier.pop}, ${own}`
}
