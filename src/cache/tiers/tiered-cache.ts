/** The caches of one node: alone, or one among others with purges over all of them and tiers. */
import { join } from 'node:path'
import type { PurgeWish, PurgeWords } from '#/core/cache-policy.ts'
import type { CoreCache } from '#/core/core-cache.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { Place } from '#/core/pops.ts'
import type { ProgramCache, SharedCache } from '#/core/ports.ts'
import { createSharedCache, type SharedCacheOptions } from '../shared-cache.ts'
import { withPurgeGate } from './gated-cache.ts'
import { createLocalPurges } from './local-purges.ts'
import { createPlatformPurges, type PlatformPurges } from './platform-purges.ts'
import { type ServeShieldOptions, serveShield } from './serve-shield.ts'
import { createShieldEgress } from './shield-egress.ts'

export interface TieredCacheOptions
  extends SharedCacheOptions,
    Pick<ServeShieldOptions, 'siteNamed' | 'originAnswers'> {
  readonly place: Place
  /** Absent where this node is the whole platform. */
  readonly mesh?: Mesh | undefined
  /** The node's. */
  readonly folder: string
  readonly log: (message: string, facts?: object) => void
  /** Absent: wishes travel as they are. */
  readonly words?: PurgeWords
}

export interface TieredCache {
  /** Its `purge` reaches all nodes. */
  readonly cache: SharedCache & { readonly programs: ProgramCache; readonly core: CoreCache }
  readonly purges: PlatformPurges
}

/** Rejects when the log of purges cannot be opened. `cache.close` ends all of it. */
export async function openTieredCache(options: TieredCacheOptions): Promise<TieredCache> {
  const { place, mesh, folder, next, siteNamed } = options
  let purges: PlatformPurges | undefined
  const withinOf = (site: string) => siteNamed(site)?.within
  const inner = createSharedCache({
    ...options,
    next: mesh === undefined ? next : createShieldEgress({ mesh, next, purges: () => purges!, withinOf }),
  })
  if (mesh === undefined) {
    const local = createLocalPurges({ ...options, self: place, cache: inner })
    return { cache: inner, purges: local }
  }
  const { words } = options
  const told = words === undefined ? inner : { purge: (all: readonly PurgeWish[]) => inner.purge(all.map(words.show)) }
  const open = await createPlatformPurges({ ...options, mesh, cache: told, folder: join(folder, 'purge-log') })
  const platform = words === undefined ? open : hidden(open, words)
  purges = platform
  const gated = withPurgeGate(inner, platform)
  const withdraw = serveShield({ ...options, mesh, cache: gated, purges: platform })
  const cache: TieredCache['cache'] = {
    ...gated,
    purge: async (wishes) => void (await platform.purge(wishes)),
    async close() {
      withdraw()
      await platform.close()
      await inner.close()
    },
  }
  return { cache, purges: platform }
}

/** Other nodes, and logs, get wishes as they may see them. */
function hidden(purges: PlatformPurges, words: PurgeWords): PlatformPurges {
  return Object.defineProperties(
    {},
    {
      ...Object.getOwnPropertyDescriptors(purges),
      purge: { value: (wishes: readonly PurgeWish[]) => purges.purge(wishes.map(words.hide)), enumerable: true },
    },
  ) as PlatformPurges
}
