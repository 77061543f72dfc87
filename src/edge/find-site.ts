/**
 * Which site a request is for. A Snapshot is compiled once into tables; a request then costs a few look-ups however
 * many sites there are. The table of hosts is shared with the Snapshots before: a change costs what it changes.
 */
import { changedSites } from '#/core/changed-sites.ts'
import { alter, keep } from '#/core/kept-map.ts'
import type { Site, Snapshot } from '#/core/snapshot.ts'

export interface Route {
  readonly site: Site
  readonly scheme: 'http' | 'https' | undefined
  readonly pathPrefix: string
  /** True when the pattern ends in `*`; otherwise the path and query must be equal. */
  readonly open: boolean
}

/** Made out of those of the Snapshot before; see `core/kept-map.ts`. */
interface Matcher {
  /** Routes by exact host, most specific first. */
  readonly routes: Routes
  /** Routes whose host starts with `*`, by the rest of the host; with `.` for `*.example.com`, without for `*example.com`. */
  readonly openRoutes: Routes
  readonly hosts: ReadonlyMap<string, Site>
  /** By the host without its `*`. */
  readonly openHosts: ReadonlyMap<string, Site>
  /** Hosts that several sites have, or a route of; of these the last site answers. */
  readonly doubled: ReadonlySet<string>
}

type Routes = ReadonlyMap<string, readonly Route[]>

const matchers = new WeakMap<Snapshot, Matcher>()

/**
 * The site for a host (lower case, no port) and a path with query; undefined when nobody lives there. Routes come
 * before hostnames, the most specific first: longer host, exact host before wildcard, longer path, with scheme before without
 * (Cloudflare, "Workers > Routes > Matching behavior").
 */
export function findSite(
  snapshot: Snapshot,
  request: { readonly scheme: 'http' | 'https'; readonly host: string; readonly path: string },
): Site | undefined {
  const matcher = matcherOf(snapshot)
  return findRoute(matcher, request) ?? findHost(matcher, request.host)
}

/** The site for a server name alone, before any request was seen (TLS ClientHello). */
export function findSiteByName(snapshot: Snapshot, host: string): Site | undefined {
  return findSite(snapshot, { scheme: 'https', host, path: '/' })
}

/** A program on a route stands in front of the origin of the same host, where there is one. */
export function originBehind(snapshot: Snapshot, site: Site, host: string): Site | undefined {
  if (site.target.kind === 'origin') return site
  const { hosts, doubled } = matcherOf(snapshot)
  if (doubled.has(host))
    return snapshot.sites.find((one) => one.target.kind === 'origin' && one.hostnames.includes(host))
  const exact = hosts.get(host)
  return exact?.target.kind === 'origin' ? exact : undefined
}

function matcherOf(snapshot: Snapshot): Matcher {
  let matcher = matchers.get(snapshot)
  if (matcher === undefined) {
    matcher = compile(snapshot)
    matchers.set(snapshot, matcher)
  }
  return matcher
}

/** Makes the tables of a Snapshot before its first request, out of those of the one that was served before. */
export function prepareSites(snapshot: Snapshot, before: Snapshot): void {
  if (matchers.has(snapshot)) return
  const known = matchers.get(before)
  matchers.set(snapshot, (known && compileAfter(before, known, snapshot)) ?? compile(snapshot))
}

/** From the tables of another Snapshot; undefined where which of two sites answers is said by the whole list. */
function compileAfter(before: Snapshot, known: Matcher, snapshot: Snapshot): Matcher | undefined {
  const { gone, come } = changedSites(before.sites, snapshot.sites)
  const names = (sites: readonly Site[]) => sites.flatMap((site) => placesOf(site).map(({ name }) => name))
  if (known.doubled.size > 0 && names([...gone, ...come]).some((name) => known.doubled.has(name))) return undefined
  const drafts = {
    ...{ routes: alter(known.routes), openRoutes: alter(known.openRoutes) },
    ...{ hosts: alter(known.hosts), openHosts: alter(known.openHosts) },
  }
  for (const site of gone) for (const place of placesOf(site)) leave(drafts, place, site)
  for (const site of come) for (const place of placesOf(site)) if (!settle(drafts, place, site)) return undefined
  const { routes, openRoutes, hosts, openHosts } = drafts
  const { doubled } = known
  return {
    ...{ routes: routes.kept(), openRoutes: openRoutes.kept() },
    hosts: hosts.kept(),
    openHosts: openHosts.kept(),
    doubled,
  }
}

/** Where a site lives: `key` in one of the tables. */
interface Address {
  readonly table: 'routes' | 'openRoutes' | 'hosts' | 'openHosts'
  readonly key: string
  /** With its `*`. */
  readonly name: string
  readonly route?: Omit<Route, 'site'>
}

function placesOf(site: Site): readonly Address[] {
  const places: Address[] = []
  for (const pattern of site.routes) {
    const { host: name, ...route } = parseRoute(pattern)
    if (name.startsWith('*')) places.push({ table: 'openRoutes', key: name.slice(1), name, route })
    else places.push({ table: 'routes', key: name, name, route })
  }
  for (const name of site.hostnames)
    if (name.startsWith('*.')) places.push({ table: 'openHosts', key: name.slice(1), name })
    else places.push({ table: 'hosts', key: name, name })
  return places
}

interface Tables {
  readonly routes: Table<readonly Route[]>
  readonly openRoutes: Table<readonly Route[]>
  readonly hosts: Table<Site>
  readonly openHosts: Table<Site>
}
type Table<Value> = Pick<Map<string, Value>, 'get'> & {
  set(key: string, value: Value): unknown
  delete(key: string): unknown
}

function leave(tables: Tables, { table, key }: Address, site: Site): void {
  if (table === 'hosts' || table === 'openHosts') {
    tables[table].delete(key)
    return
  }
  const left = tables[table].get(key)?.filter((route) => route.site !== site) ?? []
  if (left.length === 0) tables[table].delete(key)
  else tables[table].set(key, left)
}

/** False where another site lives there already: this one answers from now on. */
function settle(tables: Tables, { table, key, route }: Address, site: Site): boolean {
  if (table === 'hosts' || table === 'openHosts') {
    const other = tables[table].get(key)
    tables[table].set(key, site)
    return other === undefined || other === site
  }
  const known = tables[table].get(key) ?? []
  const own = { ...route!, site }
  tables[table].set(key, [...known, own].sort(mostSpecificFirst))
  return !known.some(
    (one) => one.site !== site && mostSpecificFirst(one, own) === 0 && one.pathPrefix === own.pathPrefix,
  )
}

function compile(snapshot: Snapshot): Matcher {
  const tables = {
    ...{ routes: new Map<string, readonly Route[]>(), openRoutes: new Map<string, readonly Route[]>() },
    ...{ hosts: new Map<string, Site>(), openHosts: new Map<string, Site>() },
  }
  const doubled = new Set<string>()
  for (const site of snapshot.sites)
    for (const place of placesOf(site)) if (!settle(tables, place, site)) doubled.add(place.name)
  const { routes, openRoutes, hosts, openHosts } = tables
  return {
    ...{ routes: keep(routes), openRoutes: keep(openRoutes) },
    hosts: keep(hosts),
    openHosts: keep(openHosts),
    doubled,
  }
}

/** `[scheme://]host[/path][*]`; the wildcard stands only in front of the host and at the end of the path. */
export function parseRoute(pattern: string): Omit<Route, 'site'> & { readonly host: string } {
  const match = /^(?:(https?):\/\/)?([^/]*)(\/.*)?$/.exec(pattern.trim())
  const scheme = match?.[1] as 'http' | 'https' | undefined
  let host = (match?.[2] ?? '').toLowerCase()
  let path = match?.[3] ?? '/'
  if (match?.[3] === undefined && host.length > 1 && host.endsWith('*')) {
    // `example.com*` means every path of example.com.
    host = host.slice(0, -1)
    path = '/*'
  }
  const open = path.endsWith('*')
  return { host, scheme, pathPrefix: open ? path.slice(0, -1) : path, open }
}

function mostSpecificFirst(one: Route, other: Route): number {
  if (one.pathPrefix.length !== other.pathPrefix.length) return other.pathPrefix.length - one.pathPrefix.length
  if (one.open !== other.open) return one.open ? 1 : -1
  return (one.scheme === undefined ? 1 : 0) - (other.scheme === undefined ? 1 : 0)
}

type Request = { readonly scheme: 'http' | 'https'; readonly host: string; readonly path: string }

function findRoute(matcher: Matcher, request: Request): Site | undefined {
  if (matcher.routes.size > 0) {
    const exact = firstMatch(matcher.routes.get(request.host), request)
    if (exact !== undefined) return exact
  }
  return matcher.openRoutes.size > 0 ? findOpenRoute(matcher.openRoutes, request) : undefined
}

/**
 * The longest rest of the host first. `*.example.com` needs a label in front; `*example.com` also takes example.com itself and
 * its subdomains only.
 */
function findOpenRoute(routes: Routes, request: Request): Site | undefined {
  const { host } = request
  for (let start = 0; ; ) {
    const bare = firstMatch(routes.get(host.slice(start)), request)
    if (bare !== undefined) return bare
    const dot = host.indexOf('.', start)
    if (dot === -1) return firstMatch(routes.get(''), request)
    const below = firstMatch(routes.get(host.slice(dot)), request)
    if (below !== undefined) return below
    start = dot + 1
  }
}

function firstMatch(routes: readonly Route[] | undefined, request: Request): Site | undefined {
  if (routes === undefined) return undefined
  for (const route of routes) {
    if (route.scheme !== undefined && route.scheme !== request.scheme) continue
    if (route.open ? request.path.startsWith(route.pathPrefix) : request.path === route.pathPrefix) return route.site
  }
  return undefined
}

function findHost(matcher: Matcher, host: string): Site | undefined {
  const exact = matcher.hosts.get(host)
  if (exact !== undefined || matcher.openHosts.size === 0) return exact
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    const site = matcher.openHosts.get(host.slice(dot))
    if (site !== undefined) return site
  }
  return undefined
}
