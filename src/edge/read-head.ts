/**
 * What a request head must look like before anything is done with it. Node's parser leaves the rules below to us; two
 * readers of one message that disagree are how requests are smuggled, so whatever can be read in two ways is refused.
 */
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import { parseAuthority } from '#/http/authority.ts'

export interface RawHead {
  readonly method: string
  /** Request target as sent. */
  readonly target: string
  /** `1.1`, or whatever else the parser let through. */
  readonly httpVersion: string
  readonly scheme: 'http' | 'https'
  readonly headers: HeaderList
}

export interface Head {
  /** `Host` as sent; empty on HTTP/1.0 without one. */
  readonly authority: string
  readonly host: string
  /** Origin-form. */
  readonly path: string
  readonly hasBody: boolean
  /** Bytes declared; undefined for a chunked body. */
  readonly contentLength: number | undefined
  /** `Upgrade: websocket` with `Connection: upgrade` on a GET. */
  readonly wantsUpgrade: boolean
}

interface Fields {
  host: string | undefined
  hosts: number
  contentLength: string | undefined
  contentLengths: number
  transferEncoding: string | undefined
  transferEncodings: number
  upgrade: string | undefined
  connection: string | undefined
  bytes: number
}

/** The head of an HTTP/1 request, or why it is refused (`bad_request`, `url_too_long`, `headers_too_large`, …). */
export function readHead(raw: RawHead, limits: Limits): Head | EdgeError {
  const { method, target, httpVersion } = raw
  if (httpVersion !== '1.1' && httpVersion !== '1.0')
    return bad(`HTTP/${httpVersion} is not spoken on this connection.`)
  if (target.length > limits.urlBytes) return new EdgeError('url_too_long', `The URL has ${target.length} bytes.`)
  if (method === 'CONNECT' || method === 'TRACE') return new EdgeError('method_not_allowed', `${method} is not served.`)
  if (raw.headers.length > limits.headerCount * 2)
    return new EdgeError('headers_too_large', `More than ${limits.headerCount} header fields.`)
  const fields = collect(raw.headers)
  if (fields.bytes > limits.headerBytes)
    return new EdgeError('headers_too_large', `The header fields have ${fields.bytes} bytes.`)
  const framing = readFraming(fields, httpVersion, limits)
  if (framing instanceof EdgeError) return framing
  const place = readTarget(raw, fields)
  if (place instanceof EdgeError) return place
  return {
    ...place,
    hasBody: framing !== 0,
    contentLength: framing,
    wantsUpgrade: asksForWebSocket(fields, method, httpVersion),
  }
}

function bad(detail: string): EdgeError {
  return new EdgeError('bad_request', detail)
}

/** One pass over the fields; the lengths of the few names that matter keep the rest from being lower-cased. */
function collect(headers: HeaderList): Fields {
  const fields: Fields = {
    host: undefined,
    hosts: 0,
    contentLength: undefined,
    contentLengths: 0,
    transferEncoding: undefined,
    transferEncodings: 0,
    upgrade: undefined,
    connection: undefined,
    bytes: 0,
  }
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    const value = headers[index + 1]!
    fields.bytes += name.length + value.length + 4
    const { length } = name
    if (length === 4 || length === 7 || length === 10 || length === 14 || length === 17)
      note(fields, name.toLowerCase(), value)
  }
  return fields
}

function note(fields: Fields, name: string, value: string): void {
  if (name === 'host') {
    fields.host = value
    fields.hosts++
  } else if (name === 'connection') {
    fields.connection = fields.connection === undefined ? value : `${fields.connection},${value}`
  } else if (name === 'content-length') {
    fields.contentLength = value
    fields.contentLengths++
  } else if (name === 'transfer-encoding') {
    fields.transferEncoding = value
    fields.transferEncodings++
  } else if (name === 'upgrade') {
    fields.upgrade = fields.upgrade === undefined ? value : `${fields.upgrade},${value}`
  }
}

/** Bytes of the body, undefined when chunked (RFC 9112 §6.3); what that section lets pass as unsafe is refused. */
function readFraming(fields: Fields, httpVersion: string, limits: Limits): number | undefined | EdgeError {
  if (fields.transferEncodings > 0) {
    if (httpVersion === '1.0') return bad('Transfer-Encoding does not exist in HTTP/1.0.')
    if (fields.transferEncodings > 1 || fields.transferEncoding!.toLowerCase() !== 'chunked')
      return bad('The only transfer coding accepted is exactly `chunked`.')
    if (fields.contentLengths > 0) return bad('Content-Length and Transfer-Encoding together are ambiguous.')
    return undefined
  }
  if (fields.contentLengths === 0) return 0
  if (fields.contentLengths > 1 || !/^\d{1,15}$/.test(fields.contentLength!))
    return bad('Content-Length must be one number.')
  const length = Number(fields.contentLength)
  if (length > limits.requestBodyBytes)
    return new EdgeError('body_too_large', `The body has ${length} bytes, more than ${limits.requestBodyBytes}.`)
  return length
}

type Place = Pick<Head, 'authority' | 'host' | 'path'>

/** RFC 9112 §3.2: origin-form and absolute-form, and a Host that no reader can take for another. */
function readTarget(raw: RawHead, fields: Fields): Place | EdgeError {
  if (fields.hosts > 1) return bad('More than one Host field.')
  if (fields.hosts === 0 && raw.httpVersion === '1.1') return bad('HTTP/1.1 needs a Host field.')
  const authority = fields.host ?? ''
  const parsed = fields.hosts === 0 ? { host: '' } : parseAuthority(authority)
  if (parsed === undefined) return bad('The Host field is not a host name or address.')
  if (raw.target.includes('#')) return bad('A request target has no fragment.')
  if (raw.target.startsWith('/')) return { authority, host: parsed.host, path: raw.target }
  const absolute = /^(https?):\/\/([^/?]*)(.*)$/i.exec(raw.target)
  if (absolute === null) return bad('The request target is neither a path nor a URL.')
  const named = parseAuthority(absolute[2]!)
  if (named === undefined || absolute[1]!.toLowerCase() !== raw.scheme)
    return bad('The URL in the request line is not one of this server.')
  if (fields.hosts > 0 && (named.host !== parsed.host || portOf(named, raw) !== portOf(parsed, raw)))
    return bad('The URL in the request line and the Host field differ.')
  const rest = absolute[3]!
  return { authority: absolute[2]!, host: named.host, path: rest.startsWith('/') ? rest : `/${rest}` }
}

function portOf(authority: { readonly port?: number }, raw: RawHead): number {
  return authority.port ?? (raw.scheme === 'https' ? 443 : 80)
}

function asksForWebSocket(fields: Fields, method: string, httpVersion: string): boolean {
  if (fields.upgrade === undefined || fields.connection === undefined) return false
  if (method !== 'GET' || httpVersion !== '1.1') return false
  return fields.upgrade.trim().toLowerCase() === 'websocket' && /(^|,)\s*upgrade\s*(,|$)/i.test(fields.connection)
}

/** The head of an HTTP/2 request (RFC 9113 §8.3.1); nghttp2 has checked order, case, CR, LF and hop-by-hop fields. */
export function readHttp2Head(
  pseudo: {
    readonly method: string
    readonly scheme: string
    readonly authority: string | undefined
    readonly path: string
  },
  headers: HeaderList,
  limits: Limits,
  ended: boolean,
): Head | EdgeError {
  const { method, path } = pseudo
  if (method === 'CONNECT' || method === 'TRACE') return new EdgeError('method_not_allowed', `${method} is not served.`)
  if (path.length > limits.urlBytes) return new EdgeError('url_too_long', `The URL has ${path.length} bytes.`)
  if (headers.length > limits.headerCount * 2)
    return new EdgeError('headers_too_large', `More than ${limits.headerCount} header fields.`)
  const fields = collect(headers)
  if (fields.bytes > limits.headerBytes)
    return new EdgeError('headers_too_large', `The header fields have ${fields.bytes} bytes.`)
  if (fields.hosts > 1) return bad('More than one Host field.')
  const authority = pseudo.authority ?? fields.host ?? ''
  const parsed = parseAuthority(authority)
  if (parsed === undefined) return bad('The authority is not a host name or address.')
  if (fields.host !== undefined && fields.host.toLowerCase() !== authority.toLowerCase())
    return bad('The fields :authority and Host differ.')
  if (!path.startsWith('/') || path.includes('#') || /[\s\x00-\x1f]/.test(path)) return bad('The path is not a path.')
  const framing = readFraming(fields, '2', limits)
  if (framing instanceof EdgeError) return framing
  const contentLength = fields.contentLengths > 0 ? framing : undefined
  return { authority, host: parsed.host, path, hasBody: !ended, contentLength, wantsUpgrade: false }
}
