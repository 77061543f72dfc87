/**
 * The shared cache: an egress in front of the egress. What it decides stands in `may-store.ts`, `may-reuse.ts` and
 * `choose.ts`; what it does in `fetch-cached.ts` and `flight.ts`.
 */
import type { CoreCache } from '#/core/core-cache.ts'
import type { Limits } from '#/core/limits.ts'
import type { Egress, ProgramCache, SharedCache } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import { passReason, readAsk } from './ask.ts'
import type { CachedParts } from './cached-parts.ts'
import { createCoreCache } from './core-cache.ts'
import { fetchCached } from './fetch-cached.ts'
import { findHit } from './find-hit.ts'
import { fetchPast } from './pass.ts'
import { createProgramCache } from './program-cache.ts'
import { noPurgeJournal, type PurgeJournal } from './purge-journal.ts'
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
  /** Absent: purges do not outlive the process, which is right for a store that does not either. */
  readonly journal?: PurgeJournal
}

/** `programs` and `core` are kept in the same store and purged with it. `close` ends what is behind it too: the egress and the store. */
export function createSharedCache(options: SharedCacheOptions): SharedCache & {
  readonly programs: ProgramCache
  readonly core: CoreCache
} {
  const { next, store, limits, clock, journal = noPurgeJournal() } = options
  const purges: Purges = createPurges(clock() * 1000)
  const solo = createSoloKeys({ limit: limits.cacheSoloKeys, ttl: limits.cacheSoloMs, clock })
  const parts: CachedParts = {
    ...{ next, store, purges, solo, limits, clock },
    large: createLargeObjects(limits.cacheLargeObjects),
    flights: new Map(),
    arriving: new Set(),
    uses: new WeakMap(),
    coding: new Set(),
  }
  const sweeper = createSweeper({ store, purges, journal, arriving: parts.arriving, limit: limits.cachePurges })
  if (journal.unfinished.length > 0) {
    purges.add(journal.unfinished, clock())
    sweeper.wake()
  }
  return {
    programs: createProgramCache({ store, purges, arriving: parts.arriving, limits, clock }),
    core: createCoreCache({ store, purges, arriving: parts.arriving, limits, clock }),
    fetch(request) {
      const why = passReason(request)
      return why === undefined ? fetchCached(request, readAsk(request), parts) : fetchPast(request, why, parts)
    },
    hit: (request) => findHit(request, parts),
    async purge(wishes) {
      purges.add(wishes, clock())
      await journal.append(wishes)
      sweeper.wake()
    },
    async close() {
      await sweeper.close()
      await journal.close()
      await next.close()
      await store.close()
    },
  }
}
