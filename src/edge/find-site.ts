/**
 * Which site a request is for. A Snapshot is compiled once into tables; a request then costs a few look-ups however
 * many sites there are. The table of hosts is shared with the Snapshots before: a change costs what it changes.
 */
import { changedSites } from '#/core/changed-sites.ts'
import type { Site, Snapshot } from '#/core/snapshot.ts'

export interface Route {
  readonly site: Site
  readonly scheme: 'http' | 'https' | undefined
  readonly pathPrefix: string
  /** True when the pattern ends in `*`; otherwise the path and query must be equal. */
  readonly open: boolean
}

interface Matcher {
  /** Routes by exact host, most specific first. */
  readonly routes: ReadonlyMap<string, readonly Route[]>
  /** Routes whose host starts with `*`, by the rest of the host; with `.` for `*.example.com`, without for `*example.com`. */
  readonly openRoutes: readonly { readonly suffix: string; readonly routes: readonly Route[] }[]
  /** Of this Snapshot's sites or of one's before; then `moved` says what is otherwise. */
  readonly hosts: ReadonlyMap<string, Site>
  /** Undefined where nobody lives any more. */
  readonly moved: ReadonlyMap<string, Site | undefined>
  /** Names that several sites have; the last one answers. */
  readonly doubled: ReadonlySet<string>
  readonly openHosts: ReadonlyMap<string, Site>
}

const matchers = new WeakMap<Snapshot, Matcher>()
/** More hosts than this have moved: the table is made anew. */
const movedAtMost = 500

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
  return snapshot.sites.find((one) => one.target.kind === 'origin' && one.hostnames.includes(host))
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

const isPlain = (site: Site): boolean =>
  site.routes.length === 0 && !site.hostnames.some((name) => name.startsWith('*.'))

/** From the tables of another Snapshot, where little but hosts changed; undefined where it is better compiled. */
function compileAfter(before: Snapshot, known: Matcher, snapshot: Snapshot): Matcher | undefined {
  const { gone, come } = changedSites(before.sites, snapshot.sites)
  const many = known.moved.size + gone.length + come.length > movedAtMost
  if (many || !gone.every(isPlain) || !come.every(isPlain)) return undefined
  const moved = new Map(known.moved)
  const lives = (name: string) => (moved.has(name) ? moved.get(name) : known.hosts.get(name))
  for (const site of gone)
    for (const name of site.hostnames) {
      // Which site has it now, the whole list says.
      if (known.doubled.has(name) || lives(name) !== site) return undefined
      moved.set(name, undefined)
    }
  for (const site of come)
    for (const name of site.hostnames) {
      if (lives(name) !== undefined) return undefined
      moved.set(name, site)
    }
  return moved.size > movedAtMost ? undefined : { ...known, moved }
}

function compile(snapshot: Snapshot): Matcher {
  const routes = new Map<string, Route[]>()
  const open = new Map<string, Route[]>()
  const hosts = new Map<string, Site>()
  const doubled = new Set<string>()
  const openHosts = new Map<string, Site>()
  for (const site of snapshot.sites) {
    for (const pattern of site.routes) {
      const { host, ...route } = parseRoute(pattern)
      const [table, key] = host.startsWith('*') ? [open, host.slice(1)] : [routes, host]
      const list = table.get(key) ?? []
      list.push({ site, ...route })
      table.set(key, list)
    }
    for (const name of site.hostnames) {
      if (name.startsWith('*.')) openHosts.set(name.slice(1), site)
      else {
        if (hosts.has(name)) doubled.add(name)
        hosts.set(name, site)
      }
    }
  }
  for (const list of [...routes.values(), ...open.values()]) list.sort(mostSpecificFirst)
  const openRoutes = [...open]
    .map(([suffix, list]) => ({ suffix, routes: list }))
    .sort((one, other) => other.suffix.length - one.suffix.length)
  return { routes, openRoutes, hosts, moved: new Map(), doubled, openHosts }
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
  for (const { suffix, routes } of matcher.openRoutes) {
    if (!coversHost(suffix, request.host)) continue
    const found = firstMatch(routes, request)
    if (found !== undefined) return found
  }
  return undefined
}

/** `*.example.com` needs a label in front; `*example.com` also takes example.com itself and its subdomains only. */
function coversHost(suffix: string, host: string): boolean {
  if (suffix === '') return true
  if (suffix.startsWith('.')) return host.length > suffix.length && host.endsWith(suffix)
  return host === suffix || host.endsWith(`.${suffix}`)
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
  const isMoved = matcher.moved.size > 0 && matcher.moved.has(host)
  const exact = isMoved ? matcher.moved.get(host) : matcher.hosts.get(host)
  if (exact !== undefined || matcher.openHosts.size === 0) return exact
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    const site = matcher.openHosts.get(host.slice(dot))
    if (site !== undefined) return site
  }
  return undefined
}
