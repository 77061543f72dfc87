/**
 * The authority of a request: what `Host` and `:authority` may look like (RFC 9110 §7.2, RFC 3986 §3.2).
 */
import { domainToASCII } from 'node:url'

export interface Authority {
  /** Lower case, ASCII (punycode), without port, brackets or trailing dot. */
  readonly host: string
  readonly port?: number
}

const plainName = /^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$/
const bracketed = /^\[([0-9a-f:.]{2,45})\](?::(\d{1,5}))?$/i
const named = /^([^:[\]/?#@\\\s,<>"'`{}|^%]{1,255})(?::(\d{0,5}))?$/

/**
 * Parses strictly: anything a URL parser and a router could read differently (user info, path, spaces, commas, empty
 * labels) is undefined. A port out of range is undefined too.
 */
export function parseAuthority(text: string): Authority | undefined {
  const address = bracketed.exec(text)
  if (address !== null) {
    const host = canonicalAddress(address[1]!)
    return host === undefined ? undefined : withPort(host, address[2])
  }
  const match = named.exec(text)
  if (match === null) return undefined
  let host = match[1]!.toLowerCase()
  if (host.endsWith('.')) host = host.slice(0, -1)
  if (!plainName.test(host)) {
    host = domainToASCII(host)
    if (!plainName.test(host)) return undefined
  }
  if (host.includes('..')) return undefined
  return withPort(host, match[2])
}

function withPort(host: string, digits: string | undefined): Authority | undefined {
  if (digits === undefined || digits === '') return { host }
  const port = Number(digits)
  return port > 65_535 ? undefined : { host, port }
}

/** The URL parser of the platform knows all spellings of an IPv6 address and gives the one of RFC 5952. */
function canonicalAddress(text: string): string | undefined {
  const url = URL.parse(`http://[${text}]/`)
  return url === null ? undefined : url.hostname.slice(1, -1)
}
