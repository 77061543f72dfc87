/** What lies where: what an audit finds on a node's disk, and whether it may lie there. */
import { withinOfNames } from './host-places.ts'
import { createKeptIndex } from './kept-index.ts'
import { allows, type CountryCode, type NodeId, type PopId, type Within } from './pops.ts'
import { intersect } from './residency.ts'
import { siteNamed } from './site-list.ts'
import type { Program, Snapshot } from './snapshot.ts'
import { withinOfStore } from './store-places.ts'
import type { Bytes } from './units.ts'

/** Whose bytes: a site or program by name, a store by id, a class of objects by its key, a certificate by its names and commas. */
export interface Owner {
  readonly kind: 'site' | 'program' | 'store' | 'objects' | 'certificate'
  readonly id: string
}

/** Bytes of one owner in one place of a node, as they were found there. */
export interface Holding extends Owner {
  /** File or folder below the node's folder, or a stream's name. */
  readonly place: string
  /** Records, files or lines. */
  readonly count: number
  readonly bytes: Bytes
  /** Countries that the place itself is for, as its name says. */
  readonly within?: Within
}

/** A node's answer to the question what it holds. */
export interface NodeHoldings {
  readonly node: NodeId
  readonly pop: PopId
  /** Where it stands; several for a folder that several nodes of one machine share. */
  readonly countries: readonly CountryCode[]
  readonly holdings: readonly Holding[]
  /** Places that could not be looked at, each with the reason. */
  readonly unread: readonly string[]
}

export interface AuditedHolding extends Holding {
  readonly node: NodeId
  readonly countries: readonly CountryCode[]
  /** It may lie there. */
  readonly allowed: boolean
}

/** A stream of what nodes share, as its servers tell of it: in which countries they stand, its tags say. */
export interface SharedStream {
  readonly stream: string
  /** Countries that may hold it; absent: anywhere. */
  readonly within?: readonly string[]
  /** Tags that each of its servers has. */
  readonly tags: readonly string[]
  /** Names of the servers that hold a copy. */
  readonly servers: readonly { readonly name: string }[]
  readonly bytes: Bytes
  /** What stands in it now. */
  readonly buckets: readonly { readonly name: string; readonly records: number; readonly bytes: Bytes }[]
}

export interface AuditReport {
  readonly holdings: readonly AuditedHolding[]
  readonly nodes: readonly Omit<NodeHoldings, 'holdings' | 'unread'>[]
  /** Absent where nothing is shared but the folder of one process. */
  readonly streams?: readonly SharedStream[]
  /** Nodes that could not be asked, and places that could not be read, a sentence each. */
  readonly unread: readonly string[]
  /** Nothing lies where it may not. Says nothing of `unread`. */
  readonly clean: boolean
}

/** Compares what was found with where it may be. What restricted things used to hold keeps its owner's name. */
export function judgeHoldings(
  snapshot: Snapshot,
  nodes: readonly NodeHoldings[],
  away: readonly string[],
): AuditReport {
  const placeOf = placementsOf(snapshot)
  const holdings = nodes.flatMap(({ node, countries, holdings: found }) =>
    found.map((one): AuditedHolding => {
      const own = placeOf(one)
      const within = intersect(one.within, one.place.startsWith('log/') ? intersect(own, snapshot.logWithin) : own)
      const allowed = countries.every((country) => allows(within, country))
      return { ...one, node, countries, ...(within !== undefined && { within }), allowed }
    }),
  )
  return {
    holdings,
    nodes: nodes.map(({ node, pop, countries }) => ({ node, pop, countries })),
    unread: [...away, ...nodes.flatMap(({ node, unread }) => unread.map((why) => `${node}: ${why}`))],
    clean: holdings.every(({ allowed }) => allowed),
  }
}

type PlacementsOf = (owner: Owner) => Within | undefined
const byObjects = createKeptIndex(({ objects }: Program) => objects.map(({ key }) => key))

/** Countries that may hold what an owner has. */
export function placementsOf(snapshot: Snapshot): PlacementsOf {
  const { sites, programs } = snapshot
  return ({ kind, id }) => {
    if (kind === 'store') return withinOfStore(snapshot, id)
    if (kind === 'objects') return byObjects.find(programs, id)?.objects.find(({ key }) => key === id)?.within
    if (kind === 'certificate') return withinOfNames(snapshot, id.split(','))
    // A program's site has its name, and what the cache keeps for either is kept under that.
    return programs.get(id)?.within ?? siteNamed(sites, id)?.within
  }
}

/** May what belongs to a site or program of this name be in this country? */
export function isHere(snapshot: Snapshot, owner: string, country: CountryCode): boolean {
  // Most platforms keep nothing anywhere.
  if (snapshot.placements === undefined) return true
  return allows(placementsOf(snapshot)({ kind: 'site', id: owner }), country)
}
