/** Hostnames and routes: their form, and who has them. Pure. */
import type { State } from './fold.ts'
import { Refusal } from './refusal.ts'

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

/** Who answers at this hostname now, if anybody: a program or site by name. */
export function ownerOfHostname(state: State, hostname: string): string | undefined {
  for (const held of state.programs.values()) if (held.site?.hostnames.includes(hostname)) return held.record.name
  for (const held of state.sites.values()) if (held.site.hostnames.includes(hostname)) return held.record.name
  for (const { site } of state.services.values()) if (site?.hostnames.includes(hostname)) return site.name
  return undefined
}

export function ownerOfRoute(state: State, route: string): string | undefined {
  for (const held of state.programs.values()) if (held.record.routes.includes(route)) return held.record.name
  return undefined
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
