/** What lies where: what an audit finds on a node's disk, and whether it may lie there. */
import { allows, type CountryCode, type NodeId, type PopId, type Within } from './pops.ts'
import type { Snapshot } from './snapshot.ts'
import type { Bytes } from './units.ts'

/** Whose bytes: a site or program by name, a store by id, a class of objects by its key. */
export interface Owner {
  readonly kind: 'site' | 'program' | 'store' | 'objects'
  readonly id: string
}

/** Bytes of one owner in one place of a node, as they were found there. */
export interface Holding extends Owner {
  /** File or folder below the node's folder, or a stream's name. */
  readonly place: string
  /** Records, files or lines. */
  readonly count: number
  readonly bytes: Bytes
}

/** A node's answer to the question what it holds. */
export interface NodeHoldings {
  readonly node: NodeId
  readonly pop: PopId
  readonly country: CountryCode
  readonly holdings: readonly Holding[]
  /** Places that could not be looked at, each with the reason. */
  readonly unread: readonly string[]
}

export interface AuditedHolding extends Holding {
  readonly node: NodeId
  readonly country: CountryCode
  /** Absent: anywhere. */
  readonly within?: Within
  /** It may lie there. */
  readonly allowed: boolean
}

export interface AuditReport {
  readonly holdings: readonly AuditedHolding[]
  readonly nodes: readonly { readonly node: NodeId; readonly pop: PopId; readonly country: CountryCode }[]
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
  const holdings = nodes.flatMap(({ node, country, holdings: found }) =>
    found.map((one): AuditedHolding => {
      const within = placeOf(one)
      return { ...one, node, country, ...(within !== undefined && { within }), allowed: allows(within, country) }
    }),
  )
  return {
    holdings,
    nodes: nodes.map(({ node, pop, country }) => ({ node, pop, country })),
    unread: [...away, ...nodes.flatMap(({ node, unread }) => unread.map((why) => `${node}: ${why}`))],
    clean: holdings.every(({ allowed }) => allowed),
  }
}

/** Countries that may hold what an owner has. */
export function placementsOf(snapshot: Snapshot): (owner: Owner) => Within | undefined {
  const sites = new Map(snapshot.sites.map((site) => [site.name, site.within]))
  const objects = new Map<string, Within | undefined>()
  for (const program of snapshot.programs.values())
    for (const { key, within } of program.objects) objects.set(key, within)
  return ({ kind, id }) => {
    if (kind === 'store') return snapshot.placements?.get(id)
    if (kind === 'objects') return objects.get(id)
    // A program's site has its name, and what the cache keeps for either is kept under that.
    return snapshot.programs.get(id)?.within ?? sites.get(id)
  }
}
