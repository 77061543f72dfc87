/**
 * The shared cache: an egress in front of the egress. What it decides stands in `may-store.ts`, `may-reuse.ts` and
 * `choose.ts`; what it does in `fetch-cached.ts` and `flight.ts`.
 */
import type { Limits } from '#/core/limits.ts'
import type { Egress, SharedCache } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import { passReason, readAsk } from './ask.ts'
import { type CachedParts, fetchCached } from './fetch-cached.ts'
import { fetchPast } from './pass.ts'
import { createPurges, type Purges } from './purges.ts'
import { createLargeObjects } from './segments.ts'
import { createSoloKeys } from './solo-keys.ts'
import type { CacheStore } from './store.ts'
import { createSweeper } from './sweep-purged.ts'

export interface SharedCacheOptions {
  readonly next: Egress
  readonly store: CacheStore
  readonly limits: Limits
  readonly clock: Clock
}

/** `close` ends what is behind it too: the egress and the store. */
export function createSharedCache(options: SharedCacheOptions): SharedCache {
  const { next, store, limits, clock } = options
  const purges: Purges = createPurges(clock() * 1000)
  const solo = createSoloKeys({ limit: limits.cacheSoloKeys, ttl: limits.cacheSoloMs, clock })
  const parts: CachedParts = {
    ...{ next, store, purges, solo, limits, clock },
    large: createLargeObjects(limits.cacheLargeObjects),
    flights: new Map(),
    arriving: new Set(),
    uses: new WeakMap(),
  }
  const sweeper = createSweeper({ store, purges, arriving: parts.arriving, limit: limits.cachePurges })
  return {
    fetch(request) {
      const why = passReason(request)
      return why === undefined ? fetchCached(request, readAsk(request), parts) : fetchPast(request, why, parts)
    },
    async purge(wishes) {
      purges.add(wishes, clock())
      sweeper.wake()
    },
    async close() {
      await sweeper.close()
      await next.close()
      await store.close()
    },
  }
}
