/** Hostnames and routes: their form, and who has them. Pure. */
import { createKeptIndex } from '#/core/kept-index.ts'
import type { Held, HeldSite, State } from './fold.ts'
import { Refusal } from './refusal.ts'
import type { HeldService } from './services/held-services.ts'

const hostLabel = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/

/** Lower case, without a final dot; throws a `Refusal` (`bad_address`). `*.` may lead where `wildcard` is true. */
export function toHostname(text: string, options: { readonly wildcard: boolean }): string {
  const host = text.toLowerCase().replace(/\.$/, '')
  const bare = options.wildcard && host.startsWith('*.') ? host.slice(2) : host
  if (host.length > 253 || bare === '' || !bare.split('.').every((label) => hostLabel.test(label)))
    throw new Refusal(
      'bad_address',
      `'${text.slice(0, 100)}' is not a hostname. International names go in their xn-- form, without scheme, port or path.`,
    )
  return host
}

/**
 * A route such as `example.com/app/*`, `*.example.com/*` or `https://example.com*`: a host, with `*` only as its first
 * character, and a path, with `*` only as its last. https://developers.cloudflare.com/workers/configuration/routing/routes/
 */
export function toRoute(text: string): string {
  const bad = (why: string) => new Refusal('bad_address', `Route '${text.slice(0, 200)}' ${why}.`)
  const match = /^(?:(https?):\/\/)?([^/]*)(\/.*)?$/i.exec(text)
  const scheme = match?.[1]?.toLowerCase()
  let host = (match?.[2] ?? '').toLowerCase()
  let path = match?.[3] ?? '/'
  if (match?.[3] === undefined && host.length > 1 && host.endsWith('*')) {
    host = host.slice(0, -1)
    path = '/*'
  }
  if (path.includes('?') || path.includes('#')) throw bad('holds a query, which routes cannot match')
  if (path.slice(0, -1).includes('*')) throw bad("has a '*' that is not at the end of the path")
  if (/[\x00-\x20\x7f]/.test(path) || text.length > 1024) throw bad('is not a path')
  if (host !== '*') toHostname(host.replace(/^\*\.?/, ''), { wildcard: false })
  return `${scheme === undefined ? '' : `${scheme}://`}${host}${path}`
}

const ofPrograms = createKeptIndex(({ site }: Held) => site?.hostnames ?? [])
const ofSites = createKeptIndex(({ site }: HeldSite) => site.hostnames)
const ofServices = createKeptIndex(({ site }: HeldService) => site?.hostnames ?? [])
const routes = createKeptIndex(({ record }: Held) => record.routes)

/** Who answers at this hostname now, if anybody: a program or site by name. */
export function ownerOfHostname({ programs, sites, services }: State, hostname: string): string | undefined {
  return (
    ofPrograms.find(programs, hostname)?.record.name ??
    ofSites.find(sites, hostname)?.record.name ??
    ofServices.find(services, hostname)?.site?.name
  )
}

/** Name of the program that has this very route. */
export function ownerOfRoute({ programs }: State, route: string): string | undefined {
  return routes.find(programs, route)?.record.name
}

/** What is known of addresses before a change is known after it, where it was asked for. */
export function carryAddresses(before: State, after: State): void {
  ofPrograms.carry(before.programs, after.programs)
  ofSites.carry(before.sites, after.sites)
  ofServices.carry(before.services, after.services)
  routes.carry(before.programs, after.programs)
}

/** Throws a `Refusal` (`address_taken`) when somebody else has one of these hostnames or routes. */
export function checkFree(state: State, owner: string, hostnames: readonly string[], routes: readonly string[]): void {
  for (const hostname of hostnames) {
    const other = ownerOfHostname(state, hostname)
    if (other !== undefined && other !== owner)
      throw new Refusal('address_taken', `Hostname '${hostname}' already belongs to '${other}'.`)
  }
  for (const route of routes) {
    const other = ownerOfRoute(state, route)
    if (other !== undefined && other !== owner)
      throw new Refusal('address_taken', `Route '${route}' already belongs to '${other}'.`)
  }
}
