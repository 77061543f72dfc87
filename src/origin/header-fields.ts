/** Header fields on their way to an origin and back: hop-by-hop ones are taken out (RFC 9110 §7.6.1). */
import type { HeaderList } from '#/core/exchange.ts'
import { loopToken } from '#/http/cdn-loop.ts'

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** The value of the first field of this name, which is given in lower case. */
export function fieldOf(headers: HeaderList, name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i]!.toLowerCase() === name) return headers[i + 1]
  return undefined
}

/** Every field but the hop-by-hop ones, those that `Connection` names, and those in `also` (lower case). */
export function endToEnd(headers: HeaderList, also: ReadonlySet<string> = new Set()): HeaderList {
  const named = connectionOptions(headers)
  const kept: HeaderList = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase()
    if (!hopByHop.has(name) && !also.has(name) && !named.has(name)) kept.push(headers[i]!, headers[i + 1]!)
  }
  return kept
}

function connectionOptions(headers: HeaderList): ReadonlySet<string> {
  const names = new Set<string>()
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.toLowerCase() !== 'connection') continue
    for (const option of headers[i + 1]!.split(',')) names.add(option.trim().toLowerCase())
  }
  return names
}

/** What our client library writes itself: the framing of the body, and `Expect`, which it does not wait for. */
const written = new Set(['content-length', 'expect', 'cdn-loop', 'host'])

/** Fields as they are sent: end-to-end ones, one Host, CDN-Loop with us at its end, the length of a streamed body. */
export function toOriginFields(headers: HeaderList, host: string, streamed: boolean): HeaderList {
  const fields = ['host', fieldOf(headers, 'host') ?? host, ...endToEnd(headers, written)]
  // RFC 9110 §10.1.4: of the connection, so it is said anew.
  if (fieldOf(headers, 'te') === 'trailers') fields.push('te', 'trailers')
  const length = streamed ? fieldOf(headers, 'content-length') : undefined
  if (length !== undefined) fields.push('content-length', length)
  const loop: string[] = []
  for (let i = 0; i < headers.length; i += 2) if (headers[i]!.toLowerCase() === 'cdn-loop') loop.push(headers[i + 1]!)
  fields.push('cdn-loop', [...loop, loopToken].join(', '))
  return fields
}

/** Raw fields of an answer: buffers from HTTP/1.1, an object from HTTP/2. Octets are kept as ISO 8859-1. */
export function fromOriginFields(raw: unknown): HeaderList {
  const list: HeaderList = []
  if (Array.isArray(raw)) for (const item of raw as (Buffer | string)[]) list.push(latin1(item))
  else
    for (const [name, value] of Object.entries((raw ?? {}) as Record<string, string | string[]>))
      for (const one of Array.isArray(value) ? value : [value]) list.push(name, one)
  return endToEnd(list)
}

/** RFC 9110 §6.5.1: what frames, routes, authenticates or describes the body cannot come behind it. */
const notTrailers = new Set([
  'age',
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'date',
  'expires',
  'host',
  'location',
  'retry-after',
  'set-cookie',
  'vary',
  'www-authenticate',
])

/** The fields behind an answer's body that may be passed on. */
export function fromOriginTrailers(raw: unknown): HeaderList {
  const list: HeaderList = []
  const fields = fromOriginFields(raw)
  for (let i = 0; i < fields.length; i += 2)
    if (!notTrailers.has(fields[i]!.toLowerCase())) list.push(fields[i]!, fields[i + 1]!)
  return list
}

function latin1(item: Buffer | string): string {
  return typeof item === 'string' ? item : item.toString('latin1')
}

const conditions = new Set(['if-none-match', 'if-modified-since', 'if-match', 'if-unmodified-since', 'if-range'])

/** RFC 9110 §13.1; only such a request may be answered with 304 (§15.4.5). */
export function isConditional(headers: HeaderList): boolean {
  for (let i = 0; i < headers.length; i += 2) if (conditions.has(headers[i]!.toLowerCase())) return true
  return false
}
