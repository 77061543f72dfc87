/** Which of an answer's control fields counts for us: the most targeted one (RFC 9213 §2.2), Fastly's own before it. */
import type { HeaderList } from '#/core/exchange.ts'
import { parseResponseDirectives, parseTargetedDirectives, type ResponseDirectives } from '#/http/cache-control.ts'
import { headerValues } from '#/http/header-list.ts'

export interface EffectiveDirectives {
  readonly from: 'surrogate-control' | 'cloudflare-cdn-cache-control' | 'cdn-cache-control' | 'cache-control' | 'none'
  readonly directives: ResponseDirectives
  /** What `Cache-Control` says beside it: Fastly reads the stale-* directives in either. */
  readonly general: ResponseDirectives
}

const nothing = parseResponseDirectives('')

/** `Surrogate-Control` > `Cloudflare-CDN-Cache-Control` > `CDN-Cache-Control` > `Cache-Control`. */
export function effectiveDirectives(headers: HeaderList): EffectiveDirectives {
  const plain = headerValues(headers, 'cache-control')
  const general = plain === undefined ? nothing : parseResponseDirectives(plain)
  const surrogate = headerValues(headers, 'surrogate-control')
  if (surrogate !== undefined) {
    const directives = parseResponseDirectives(surrogate)
    // One that only names capabilities (`content="ESI/1.0"`) says nothing about freshness.
    if (directives.maxAge !== undefined || directives.noStore || directives.private !== false)
      return { from: 'surrogate-control', directives, general }
  }
  for (const from of ['cloudflare-cdn-cache-control', 'cdn-cache-control'] as const) {
    const field = headerValues(headers, from)
    const directives = field === undefined ? undefined : parseTargetedDirectives(field)
    if (directives !== undefined) return { from, directives, general }
  }
  return { from: plain === undefined ? 'none' : 'cache-control', directives: general, general }
}
