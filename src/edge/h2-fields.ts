/**
 * What the fields of an HTTP/2 request must look like (RFC 9113 §8.2, §8.3). A request that breaks these rules is
 * malformed: its stream is reset, and nobody sees it.
 */
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import { type Head, readHttp2Head } from './read-head.ts'

export interface Pseudo {
  method: string
  scheme: string
  authority: string | undefined
  path: string
  /** Of an extended CONNECT (RFC 8441 §4). */
  protocol: string | undefined
}

/** No upper case (§8.2.1). */
const fieldName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
/** No control characters but tab, and no space at either end. */
const fieldValue = /^$|^[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/

/** §8.2.2. */
const ofHttp1: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
])

/**
 * Separates pseudo-fields, joins cookies that were split (§8.2.3); undefined for a malformed request. Fields that are those
 * of `before`, sound fields in the same place, are not looked at again: most fields of a client's requests are the same.
 */
export function readFields(
  fields: readonly string[],
  before: readonly string[],
): { pseudo: Pseudo; headers: HeaderList } | undefined {
  const found: Partial<Record<string, string>> = {}
  const headers: HeaderList = []
  let cookie = -1
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!
    const value = fields[index + 1]!
    const known = name === before[index] && value === before[index + 1]
    if (!known && !fieldValue.test(value)) return undefined
    if (name.charCodeAt(0) === 58) {
      // Before all others, once each, and only those of requests (§8.3).
      if (headers.length > 0 || found[name] !== undefined || !isPseudo(name)) return undefined
      found[name] = value
      continue
    }
    if (!known && !isOfRequests(name, value)) return undefined
    if (name === 'cookie' && cookie !== -1) headers[cookie] += `; ${value}`
    else {
      headers.push(name, value)
      if (name === 'cookie') cookie = headers.length - 1
    }
  }
  const pseudo = readPseudo(found)
  return pseudo && { pseudo, headers }
}

function isOfRequests(name: string, value: string): boolean {
  return fieldName.test(name) && !ofHttp1.has(name) && (name !== 'te' || value === 'trailers')
}

function isPseudo(name: string): boolean {
  return name === ':method' || name === ':scheme' || name === ':authority' || name === ':path' || name === ':protocol'
}

/** §8.3.1; CONNECT (§8.5) has neither scheme nor path, and is refused later in so many words. */
function readPseudo(found: Partial<Record<string, string>>): Pseudo | undefined {
  const { ':method': method, ':scheme': scheme, ':authority': authority, ':path': path, ':protocol': protocol } = found
  if (method === undefined || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(method)) return undefined
  if (method === 'CONNECT' && protocol === undefined) {
    const isWhole = scheme === undefined && path === undefined
    return isWhole ? { method, scheme: '', authority, path: '', protocol } : undefined
  }
  if (protocol !== undefined && (method !== 'CONNECT' || authority === undefined)) return undefined
  if ((scheme !== 'http' && scheme !== 'https') || path === undefined || path === '') return undefined
  return { method, scheme, authority, path, protocol }
}

/** Trailers are read for their form and dropped: no pseudo-fields in them (§8.1). */
export function areTrailersSound(fields: readonly string[]): boolean {
  for (let index = 0; index < fields.length; index += 2)
    if (!fieldName.test(fields[index]!) || !fieldValue.test(fields[index + 1]!)) return false
  return true
}

interface RequestContext {
  readonly limits: Limits
  readonly ended: boolean
  readonly tooLarge: boolean
  readonly expect: string | undefined
}

/** The head of a well-formed request, or why it gets an error page. */
export function readRequest(
  pseudo: Pseudo,
  headers: HeaderList,
  { limits, ended, tooLarge, expect }: RequestContext,
): Head | EdgeError {
  if (tooLarge) return new EdgeError('headers_too_large', 'The header fields are more or larger than allowed.')
  if (expect !== undefined && expect !== '100-continue')
    return new EdgeError('expectation_failed', 'The only expectation understood is `100-continue`.')
  if (pseudo.protocol === undefined) return readHttp2Head(pseudo, headers, limits, ended)
  if (pseudo.protocol !== 'websocket')
    return new EdgeError('method_not_allowed', 'CONNECT is served for the protocol `websocket` alone.')
  if (ended) return new EdgeError('bad_request', 'A WebSocket does not end with its request.')
  const head = readHttp2Head({ ...pseudo, method: 'GET' }, headers, limits, false)
  return head instanceof EdgeError ? head : { ...head, hasBody: false, wantsUpgrade: true }
}

/**
 * The fields of an extended CONNECT as those of a GET with `Upgrade`, which is what programs and origins understand: with a
 * key, which HTTP/2 has no use for (RFC 8441 §5).
 */
export function websocketFields(headers: HeaderList, key: string): HeaderList {
  const fields: HeaderList = []
  for (let index = 0; index < headers.length; index += 2)
    if (headers[index] !== 'sec-websocket-key') fields.push(headers[index]!, headers[index + 1]!)
  fields.push('sec-websocket-key', key)
  return fields
}
