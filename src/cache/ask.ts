/** What one request asks of the cache, read once: where its answer would lie, and under which conditions it may be used. */
import type { CachePolicy, CacheWish } from '#/core/cache-policy.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { EgressRequest } from '#/core/ports.ts'
import { parseRequestDirectives, type RequestDirectives } from '#/http/cache-control.ts'
import { headerValue, headerValues } from '#/http/header-list.ts'
import { cacheKey, canonicalUrl } from './cache-key.ts'

export interface Ask {
  readonly key: string
  /** As clients know it: host in lower case, no default port, no fragment. Purges by URL, host and prefix look at it. */
  readonly url: string
  readonly scope: string
  readonly method: 'GET' | 'HEAD'
  readonly headers: HeaderList
  readonly range: string | undefined
  /** A `Range` that names several: cut out of the whole, which is what is looked for and fetched. */
  readonly ranges: string | undefined
  /** Undefined where the site does not let clients direct the cache, or the client does not. */
  readonly directives: RequestDirectives | undefined
  readonly hasAuthorization: boolean
  readonly policy: CachePolicy
  readonly wish: CacheWish
  /** Asked by the cache of another PoP. */
  readonly forTier: boolean
}

/** Why a request goes past the cache: it is neither looked up nor stored (RFC 9211 §2.2 `fwd`). */
export type PassReason = 'bypass' | 'method' | 'upgrade' | 'body'

export const noPolicy: CachePolicy = {}
const noWish: CacheWish = {}

export function scopeOf(by: EgressRequest['by']): string {
  return 'site' in by ? by.site : by.program
}

/** RFC 9111 §4: only GET and HEAD are answered from the cache; a body on them is meant for the origin alone. */
export function passReason(request: EgressRequest): PassReason | undefined {
  if (request.wantsUpgrade) return 'upgrade'
  if (request.method !== 'GET' && request.method !== 'HEAD') return 'method'
  if (request.body !== null) return 'body'
  const wish = request.cache
  return wish !== undefined && isBypassed(wish, request.publicUrl ?? request.url) ? 'bypass' : undefined
}

/** Whether what was wished, or the site for this path, keeps the request away from the cache. */
export function isBypassed({ bypass, policy }: CacheWish, url: string): boolean {
  if (bypass === true) return true
  const paths = policy?.bypassPaths
  if (paths === undefined || paths.length === 0) return false
  const path = pathOf(url)
  return paths.some((pattern) => matchesPath(pattern, path))
}

type AskedRequest = Pick<EgressRequest, 'by' | 'method' | 'headers' | 'cache' | 'publicUrl'> &
  Partial<Pick<EgressRequest, 'url' | 'forTier'>>

/** `url`: where it is known to be canonical already. */
export function readAsk(request: AskedRequest, url = canonicalUrl(request.publicUrl ?? request.url!)): Ask {
  const wish = request.cache ?? noWish
  const policy = wish.policy ?? noPolicy
  const { headers } = request
  const scope = scopeOf(request.by)
  const range = request.method === 'GET' ? headerValue(headers, 'range') : undefined
  const several = range?.includes(',') === true
  return {
    key: cacheKey({ by: request.by, url, headers, shape: policy.key, given: wish.key }),
    url,
    scope,
    method: request.method as 'GET' | 'HEAD',
    headers,
    range: several ? undefined : range,
    ranges: several ? range : undefined,
    directives: policy.obeyRequestDirectives === true ? readDirectives(headers) : undefined,
    hasAuthorization: headerValue(headers, 'authorization') !== undefined,
    policy,
    wish,
    forTier: request.forTier === true,
  }
}

/** Whether what origins say to caches alone goes into the answer. */
export function seesSurrogates({ forTier, headers }: Ask): boolean {
  return forTier || headerValue(headers, 'fastly-debug') !== undefined
}

function readDirectives(headers: HeaderList): RequestDirectives | undefined {
  const field = headerValues(headers, 'cache-control')
  const pragma = headerValues(headers, 'pragma')
  return field === undefined && pragma === undefined ? undefined : parseRequestDirectives(field, pragma)
}

function pathOf(url: string): string {
  const start = url.indexOf('/', url.indexOf('//') + 2)
  if (start === -1) return '/'
  const query = url.indexOf('?', start)
  return query === -1 ? url.slice(start) : url.slice(start, query)
}

/** `*` matches any text; everything else itself. Linear in the length of both. */
export function matchesPath(pattern: string, path: string): boolean {
  const parts = pattern.split('*')
  if (parts.length === 1) return pattern === path
  const [first, last] = [parts[0]!, parts.at(-1)!]
  if (!path.startsWith(first) || !path.endsWith(last) || path.length < first.length + last.length) return false
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = path.indexOf(part, at)
    if (found === -1 || found + part.length > path.length - last.length) return false
    at = found + part.length
  }
  return true
}
