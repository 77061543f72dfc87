/** Requests and answers around the HTTP cache that programs drive themselves: pure steps between what is stored and what is sent. */
import type { HeaderList } from '#/core/exchange.ts'
import { parseEntityTags, sameEntityTag } from '#/http/conditional.ts'
import { headerValue, headerValues } from '#/http/header-list.ts'
import { parseHttpDate } from '#/http/http-date.ts'
import { decideRange } from '#/http/range.ts'
import type { CacheObjectWords } from '../cache-protocol.ts'
import { Fields, GuestRequest } from './messages.ts'

/** The address that the cache knows a request by: the host is what `Host` says. */
export function cachedUrl({ uri, headers }: GuestRequest): string {
  const asked = URL.parse(uri, 'http://localhost')
  if (asked === null) return uri
  const path = uri.startsWith('/') ? uri.replace(/#.*$/, '') : asked.pathname + asked.search
  return `${asked.protocol}//${headers.first('host') ?? asked.host}${path}`
}

export function copyRequest(request: GuestRequest): GuestRequest {
  const copy = new GuestRequest()
  copy.method = request.method
  copy.uri = request.uri
  copy.version = request.version
  copy.headers = new Fields([...request.headers.list])
  copy.cacheOverride = request.cacheOverride
  copy.autoDecompress = request.autoDecompress
  copy.framing = request.framing
  return copy
}

const conditions = [
  'range',
  'if-range',
  'if-none-match',
  'if-modified-since',
  'if-match',
  'if-unmodified-since',
] as const

/** What the backend is asked, so that its answer can be stored: all of it, or whether a stale one still holds. */
export function suggestedRequest(request: GuestRequest, stale: CacheObjectWords | undefined): GuestRequest {
  const asked = copyRequest(request)
  if (asked.method === 'HEAD') asked.method = 'GET'
  for (const name of conditions) asked.headers.remove(name)
  if (stale === undefined) return asked
  const etag = headerValue(stale.written.headers, 'etag')
  const changed = headerValue(stale.written.headers, 'last-modified')
  if (etag !== undefined) asked.headers.append('if-none-match', etag)
  if (changed !== undefined) asked.headers.append('if-modified-since', changed)
  return asked
}

/** Of one transfer, or said anew each time. */
const neverStored: ReadonlySet<string> = new Set([
  ...['age', 'cache-status', 'x-cache', 'x-cache-hits', 'content-length', 'transfer-encoding', 'connection'],
  ...['surrogate-key', 'surrogate-control'],
])

export function storedFields(headers: HeaderList): HeaderList {
  return headers.filter((_, index) => !neverStored.has(headers[index - (index % 2)]!.toLowerCase()))
}

export interface FoundAnswer {
  readonly status: number
  readonly headers: HeaderList
  /** Of the stored body; undefined for all of it, null for none. */
  readonly range: { readonly from: number; readonly to: number } | undefined | null
}

/** `request`: cut to what it asked for; undefined: as it is stored. */
export function foundAnswer(found: CacheObjectWords, ageMs: number, request: GuestRequest | undefined): FoundAnswer {
  const { written, length } = found
  const headers = [...written.headers, 'age', String(Math.floor(ageMs / 1000))]
  const whole = length === undefined ? headers : [...headers, 'content-length', String(length)]
  if (request === undefined) return { status: written.status, headers: whole, range: undefined }
  if (written.status === 200 && holds(request, written.headers)) return { status: 304, headers, range: null }
  if (request.method === 'HEAD') return { status: written.status, headers: whole, range: null }
  const asked =
    request.method === 'GET' && written.status === 200 ? headerValue(request.headers.list, 'range') : undefined
  if (asked === undefined || length === undefined || !rangeApplies(request, written.headers))
    return { status: written.status, headers: whole, range: undefined }
  const part = decideRange(asked, length)
  if (part.kind === 'unsatisfiable')
    return {
      status: 416,
      headers: [...headers, 'content-range', `bytes */${length}`, 'content-length', '0'],
      range: null,
    }
  if (part.kind === 'whole') return { status: written.status, headers: whole, range: undefined }
  const { start, end } = part
  const described = ['content-range', `bytes ${start}-${end}/${length}`, 'content-length', String(end - start + 1)]
  return { status: 206, headers: [...headers, ...described], range: { from: start, to: end } }
}

/** RFC 9110 §13.1.2, §13.1.3: what the client has still holds. */
function holds({ headers }: GuestRequest, stored: HeaderList): boolean {
  const ifNoneMatch = headerValues(headers.list, 'if-none-match')
  const etag = headerValue(stored, 'etag')
  if (ifNoneMatch !== undefined) {
    const tags = parseEntityTags(ifNoneMatch)
    return tags === 'any' || (etag !== undefined && tags.some((tag) => sameEntityTag(tag, etag, { weak: true })))
  }
  const now = Date.now()
  const since = dateIn(headerValue(headers.list, 'if-modified-since'), now)
  const changed = dateIn(headerValue(stored, 'last-modified'), now)
  return since !== undefined && changed !== undefined && changed <= since
}

/** RFC 9110 §13.1.5. */
function rangeApplies({ headers }: GuestRequest, stored: HeaderList): boolean {
  const ifRange = headerValue(headers.list, 'if-range')?.trim()
  if (ifRange === undefined) return true
  if (!ifRange.startsWith('"')) return ifRange === headerValue(stored, 'last-modified')
  const etag = headerValue(stored, 'etag')
  return etag !== undefined && sameEntityTag(ifRange, etag, { weak: false })
}

function dateIn(field: string | undefined, now: number): number | undefined {
  return field === undefined ? undefined : parseHttpDate(field, now)
}
