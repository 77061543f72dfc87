/** Where a request wants to go, read from its URL in the same way by the check and by the connection. */
import { EdgeError } from '#/core/errors.ts'

export interface Destination {
  readonly scheme: 'http' | 'https'
  /** Lower case, IPv6 without brackets, no trailing dot; odd IPv4 forms (octal, hex, one number) made ordinary. */
  readonly host: string
  readonly port: number
  /** As a Host field says it: with brackets, with the port when it is not the scheme's own. */
  readonly authority: string
  /** Path and query as written where they are printable ASCII, otherwise as WHATWG URL writes them. */
  readonly path: string
}

/** Everything between authority and fragment, as written. A backslash ends an authority too (WHATWG URL §4.4). */
const asWritten = /^https?:\/\/[^\s/?#\\]+([/?][\x21\x22\x24-\x7e]*)?(?:#.*)?$/i

/** Throws `egress_refused` for anything but an absolute http(s) URL without user name. */
export function parseDestination(url: string): Destination {
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch {
    throw new EdgeError('egress_refused', `Not an absolute URL: ${url.slice(0, 200)}`)
  }
  const { protocol } = parsed
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new EdgeError('egress_refused', `Only http and https leave here, not ${protocol.slice(0, 40)}`)
  if (parsed.username !== '' || parsed.password !== '')
    throw new EdgeError('egress_refused', `A user name in a URL is not supported (${parsed.host}); send Authorization.`)
  const host = parsed.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  if (host === '' || host.includes('..')) throw new EdgeError('egress_refused', `Not a host name: ${parsed.hostname}`)
  const written = asWritten.exec(url)?.[1]
  return {
    scheme: protocol === 'https:' ? 'https' : 'http',
    host,
    port: parsed.port === '' ? (protocol === 'https:' ? 443 : 80) : Number(parsed.port),
    authority: parsed.host,
    path: written === undefined ? parsed.pathname + parsed.search : written.replace(/^\?/, '/?'),
  }
}
