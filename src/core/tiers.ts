/** Several tiers of caches in several places: purges that reach all of them, and the tier above. */
import type { PurgeWish } from './cache-policy.ts'
import type { HeaderList } from './exchange.ts'
import type { CountryCode, NodeId, PopId } from './pops.ts'
import type { EpochMs, Milliseconds } from './units.ts'

/** Where a purge was taken: a node and the log in which it counts its purges, `fra~3f9c2e1b`. */
export type PurgeOrigin = string

/** Of each origin, the number of the last purge that was applied, with all before it. */
export type PurgeVector = Readonly<Record<PurgeOrigin, number>>

/** What became of one purge, over all nodes of the platform. */
export interface PurgeReceipt {
  readonly id: string
  readonly at: EpochMs
  /** Nothing fetched before the purge answers there any more; `ms` after the purge came. */
  readonly acknowledged: readonly { readonly pop: PopId; readonly node: NodeId; readonly ms: Milliseconds }[]
  /** Out of reach: they go on alone, and apply it before they say that they are ready again. */
  readonly away: readonly { readonly pop: PopId; readonly node: NodeId; readonly since: EpochMs }[]
}

/** Takes the purges of all doors. Resolves once every node that can be reached has applied it, durably. */
export type TakePurge = (wishes: readonly PurgeWish[]) => Promise<PurgeReceipt>

/**
 * `starting`: not every other node was heard yet. `catching-up`: learns what was purged while a link was down. `alone`:
 * some node is out of reach, so that purges taken there may be missing. `ready`: nothing purged before answers any more.
 */
export type PurgeState = 'starting' | 'catching-up' | 'alone' | 'ready'

export interface PurgeStanding {
  readonly state: PurgeState
  /** Reachable, and asked for what was purged there. */
  readonly behind: readonly NodeId[]
  readonly away: readonly { readonly pop: PopId; readonly node: NodeId; readonly since: EpochMs }[]
}

/** The shared cache of another PoP stands between this one and the origin. */
export interface ShieldWish {
  readonly pop: PopId
  /** Of the Snapshot: whose origins, rules and countries count. */
  readonly site: string
  /** What the shield makes `onOriginAnswer` of; absent where there is none. */
  readonly again?: FetchedAgain
}

/** The request as a site's rules for origin answers see it: plain JSON. */
export type FetchedAgain =
  | {
      readonly kind: 'rules'
      readonly method: string
      readonly url: string
      readonly headers: HeaderList
      readonly scheme: 'http' | 'https'
      readonly httpVersion: '1.0' | '1.1' | '2'
      readonly address: string
      readonly country: CountryCode
      readonly pop: PopId
      /** How the answer is kept was wished for with the request already. */
      readonly decided: boolean
    }
  | {
      readonly kind: 'keeping'
      readonly method: string
      readonly path: string
      readonly host: string
      readonly headers: HeaderList
      readonly scheme: 'http' | 'https'
      readonly httpVersion: '1.0' | '1.1' | '2'
      readonly address: string
      readonly country: CountryCode
    }

/** What became of the wish for a shield. */
export type TierAnswer =
  /** `cacheStatus`: the shield's member of `Cache-Status`, where its cache was asked. */
  | { readonly kind: 'answered'; readonly pop: PopId; readonly cacheStatus?: string }
  /** No node of it could be asked: the origin was. */
  | { readonly kind: 'away'; readonly pop: PopId }
