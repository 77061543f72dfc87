/** What goes from a PoP's cache to its shield's and back: the heads in JSON, the bodies as they are. */
import { createHash } from 'node:crypto'
import type { CacheWish } from '#/core/cache-policy.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { MeshHead } from '#/core/mesh.ts'
import type { OriginPool } from '#/core/origin.ts'
import type { EgressAnswer, EgressRequest } from '#/core/ports.ts'
import type { FetchedAgain, PurgeVector } from '#/core/tiers.ts'

export const shieldTopic = 'shield.fetch'

export interface ShieldAsked {
  readonly site: string
  readonly method: string
  readonly url: string
  readonly publicUrl?: string
  readonly headers: HeaderList
  readonly client?: string
  readonly cache?: CacheWish
  /** Which of the site's pools, by what it says: both sides must mean the same origins. */
  readonly pool?: string
  readonly again?: FetchedAgain
  /** Purges that must be applied before an answer comes from the cache. */
  readonly purges?: PurgeVector
  readonly hasBody: boolean
}

export interface ShieldAnswered {
  readonly status: number
  readonly statusText?: string
  readonly headers: HeaderList
  readonly cacheStatus?: string
  readonly withheld?: true
  /** Not fresh there: passed on, and kept nowhere. */
  readonly stale?: true
  readonly hasBody: boolean
  /** Of what was asked in `purges`: applied there. */
  readonly applied?: PurgeVector
}

const names = new WeakMap<OriginPool, string>()

/** The same text on all nodes for the same origins and settings. */
export function poolName(pool: OriginPool): string {
  let name = names.get(pool)
  if (name === undefined) {
    name = createHash('sha256').update(JSON.stringify(pool)).digest('base64url').slice(0, 22)
    names.set(pool, name)
  }
  return name
}

export function askedHead(request: EgressRequest, purges: PurgeVector | undefined): MeshHead {
  const { method, url, publicUrl, headers, client, cache, pool, shield } = request
  const head: ShieldAsked = {
    ...{ site: shield!.site, method, url, headers, hasBody: request.body !== null },
    ...(publicUrl !== undefined && { publicUrl }),
    ...(client !== undefined && { client }),
    ...(cache && { cache }),
    ...(pool && { pool: poolName(pool) }),
    ...(shield!.again && { again: shield!.again }),
    ...(purges && { purges }),
  }
  return head as unknown as MeshHead
}

export function answeredHead(answer: EgressAnswer, applied: PurgeVector | undefined): MeshHead {
  const { status, statusText, headers, cacheStatus, cacheOutcome, withheld } = answer
  const stale = cacheOutcome === 'stale' || cacheOutcome === 'updating'
  const head: ShieldAnswered = {
    ...{ status, headers, hasBody: answer.body !== null },
    ...(statusText !== undefined && { statusText }),
    ...(cacheStatus !== undefined && { cacheStatus }),
    ...(withheld && { withheld: true }),
    ...(stale && { stale }),
    ...(applied && { applied }),
  }
  return head as unknown as MeshHead
}
