/** Where the key of a certificate may lie: with the sites that answer at its names. */
import type { Made } from './kept-map.ts'
import type { Within } from './pops.ts'
import { intersect } from './residency.ts'
import { passing, type SiteList } from './site-list.ts'
import type { Site, Snapshot } from './snapshot.ts'

type PlacedSite = Pick<Site, 'name' | 'hostnames' | 'routes' | 'within'>

interface Table {
  /** Names in certificates that are good for a host of a site that stays in countries. */
  readonly byName: ReadonlyMap<string, Within>
  /** `.example.com` of sites at `*.example.com`. */
  readonly bySuffix: readonly { readonly suffix: string; readonly within: Within }[]
}

const none: Table = { byName: new Map(), bySuffix: [] }
const compiled = new WeakMap<SiteList, Table>()
const stays: Made = new WeakMap()

/**
 * The countries that all sites have in common which stay in some and answer at one of these names (lower case, also
 * `*.example.com`); undefined where none of them does, empty where they have none in common.
 */
export function withinOfNames(snapshot: Snapshot, names: readonly string[]): Within | undefined {
  const table = tableOf(snapshot)
  if (table === none) return undefined
  let found: Within | undefined
  for (const name of names) {
    found = intersect(found, table.byName.get(name))
    if (table.bySuffix.length === 0 || (!name.startsWith('*') && isFree(snapshot, name))) continue
    for (const { suffix, within } of table.bySuffix)
      if (name.replace(/^\*/, '').endsWith(suffix)) found = intersect(found, within)
  }
  return found
}

/** Does a site that may be anywhere have just this host? It comes before what is open. */
function isFree({ sites }: Snapshot, name: string): boolean {
  return sites.some(({ within, hostnames }) => within === undefined && hostnames.includes(name))
}

function tableOf({ sites, placements }: Snapshot): Table {
  if (placements === undefined) return none
  const placed = passing(sites, ({ within }) => within !== undefined, stays)
  const known = compiled.get(placed) ?? compile(placed)
  compiled.set(placed, known)
  return known
}

function compile(sites: Iterable<PlacedSite>): Table {
  const byName = new Map<string, Within>()
  const bySuffix: { readonly suffix: string; readonly within: Within }[] = []
  const add = (name: string, within: Within) => byName.set(name, intersect(byName.get(name), within)!)
  for (const { within, ...site } of sites)
    if (within !== undefined)
      for (const host of hostsOf(site)) {
        if (host.startsWith('*')) bySuffix.push({ suffix: host.slice(1), within })
        add(host, within)
        // RFC 9525 §6.3: a wildcard stands for one label.
        const dot = host.indexOf('.')
        if (dot > 0 && !host.startsWith('*')) add(`*${host.slice(dot)}`, within)
      }
  return byName.size === 0 ? none : { byName, bySuffix }
}

/** Hosts that are a site's own as a whole: routes below a path are others' hosts. */
function* hostsOf({ hostnames, routes }: Omit<PlacedSite, 'within'>): Generator<string> {
  yield* hostnames
  for (const route of routes) {
    const [, host] = /^(?:https?:\/\/)?([^/]+)\/?\*$/.exec(route) ?? []
    if (host !== undefined) yield host.toLowerCase()
  }
}
