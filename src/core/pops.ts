/** The nouns of a platform with many points of presence (PoPs): who is where, and who may hold what. */
import type { EpochMs, Milliseconds } from './units.ts'

/** Name of a point of presence, e.g. `fra`; several nodes may share one. */
export type PopId = string
/** Name of one running node, unique on the platform and kept over restarts: its PoP's name, or `fra-3f9c2e` beside others. */
export type NodeId = string
/** ISO 3166-1 alpha-2, upper case; `XX` where nobody said. */
export type CountryCode = string

/** Countries that may hold and run something; absent: anywhere. Groups such as `eu` are resolved before (`residency.ts`). */
export type Within = readonly CountryCode[]

export interface Place {
  readonly node: NodeId
  readonly pop: PopId
  readonly country: CountryCode
}

/** Another node, as this one sees it. */
export interface Peer extends Place {
  /** Of Rimward. */
  readonly version: string
  readonly startedAt: EpochMs
  /** A link stands and answered lately. */
  readonly reachable: boolean
  /** Since when `reachable` is what it is. */
  readonly since: EpochMs
  /** Median of the last round trips over the link; absent before the first. */
  readonly rttMs?: Milliseconds
  /** How far its clock is ahead of this node's, give or take half a round trip; absent before the first link. */
  readonly skewMs?: Milliseconds
  /** Why it is not reachable, in one sentence. */
  readonly problem?: string
}

/** May a place in this country hold or run it? */
export function allows(within: Within | undefined, country: CountryCode): boolean {
  return within === undefined || within.includes(country)
}

/**
 * Best first: reachable nodes where it may be, the nearest by round trip, then by name so that all agree. For handing a
 * request over, for a first home of an object.
 */
export function nearestPeers(peers: readonly Peer[], within: Within | undefined): readonly Peer[] {
  return peers
    .filter((peer) => peer.reachable && allows(within, peer.country))
    .toSorted((one, other) => (one.rttMs ?? 1e9) - (other.rttMs ?? 1e9) || (one.node < other.node ? -1 : 1))
}
