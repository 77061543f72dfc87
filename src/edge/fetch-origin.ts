/**
 * Fetches the answer of a site whose target is an origin.
 */
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Egress, EgressRequest } from '#/core/ports.ts'
import type { Site, Target } from '#/core/snapshot.ts'
import type { AcceptedExchange } from './accepted.ts'
import { addCacheHeaders } from './cache-headers.ts'
import { forwardedHeaders, type Pop } from './request-headers.ts'

export interface OriginOptions {
  readonly egress: Pick<Egress, 'fetch'>
  readonly pop: Pop
  readonly limits: Limits
}

/** Rejects with `origin_*` or `egress_refused`. The origin's own name is the Host; the client's travels beside it. */
export async function fetchOrigin(
  exchange: AcceptedExchange,
  site: Site,
  { url, pool }: Extract<Target, { readonly kind: 'origin' }>,
  options: OriginOptions,
  onInformational?: EgressRequest['onInformational'],
): Promise<Answer> {
  const started = performance.now()
  const headers = forwardedHeaders(exchange, options.pop, options.limits.requestLoops)
  // RFC 9110 §7.6.3: the version in which the request came here.
  headers.push('via', `${exchange.httpVersion} rimward`, 'x-forwarded-host', exchange.authority)
  const answer = await options.egress.fetch({
    by: { site: site.name },
    method: exchange.method,
    url: originUrl(url, exchange.path),
    headers,
    body: exchange.body,
    wantsUpgrade: exchange.wantsUpgrade,
    signal: exchange.signal,
    publicUrl: `${exchange.scheme}://${exchange.host}${exchange.path}`,
    ...(site.cache && { cache: { policy: site.cache } }),
    ...(onInformational && { onInformational }),
    client: exchange.connection.client.address,
    ...(pool && { pool }),
  })
  if (answer.cacheOutcome !== undefined) {
    exchange.cache = answer.cacheOutcome
    addCacheHeaders(answer)
  }
  exchange.timings.origin = performance.now() - started
  return answer
}

/** The path of the origin's URL goes in front of the request's: `https://o.example/base` and `/a?b` make `/base/a?b`. */
export function originUrl(origin: string, path: string): string {
  const base = new URL(origin)
  return `${base.origin}${base.pathname.replace(/\/$/, '')}${path}`
}
