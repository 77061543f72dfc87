/**
 * Fetches the answer of a site whose target is an origin, through the rules that the site has.
 */
import type { CacheWish } from '#/core/cache-policy.ts'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { OriginPool } from '#/core/origin.ts'
import type { Egress, EgressAnswer, EgressRequest, SharedCache } from '#/core/ports.ts'
import { publicUrl } from '#/core/purge-wishes.ts'
import type { Site, Target } from '#/core/snapshot.ts'
import type { FetchedAgain } from '#/core/tiers.ts'
import { connectionNames, headerValue } from '#/http/header-list.ts'
import { decideKeeping } from './apply-cache-rules.ts'
import { finishAnswer, planFetch, type ReadyRules, readyRules, ruleFacts } from './apply-rules.ts'
import { addCacheHeaders } from './cache-headers.ts'
import { removeField } from './change-headers.ts'
import { mayCompress } from './compression-rules.ts'
import { keptAgain, ruledAgain, shieldOf } from './fetch-again.ts'
import type { OriginExchange } from './origin-exchange.ts'
import { answerPurge, type PurgePort } from './purge-request.ts'
import type { Reply } from './reply.ts'
import { changedOnTheWay, forwardedHeaders, type Pop } from './request-headers.ts'
import { asksForTrailers } from './takes-trailers.ts'

/** Without `hit` every request goes the way of one that asks the origin. */
export type EdgeEgress = Pick<Egress, 'fetch'> & Partial<Pick<SharedCache, 'hit'>>

export interface OriginOptions {
  readonly egress: EdgeEgress
  readonly purge: PurgePort | undefined
  readonly pop: Pop
  readonly limits: Limits
}

/**
 * At once where the answer lies in memory. Rejects with `origin_*` or `egress_refused`. Without rules the origin's own name
 * is the Host; the client's travels beside it, without its port: no cache key has one, and what an origin builds from it
 * would reach other clients.
 */
export function fetchOrigin(
  exchange: OriginExchange,
  site: Site,
  target: Extract<Target, { readonly kind: 'origin' }>,
  options: OriginOptions,
  reply: Pick<Reply, 'informational'>,
): Answer | Promise<Answer> {
  return findHit(exchange, site, options.egress) ?? askOrigin(exchange, site, target, options, reply)
}

/** Rules may change what is asked for, and a loop is found on the way to the origin: those take the long way. */
function findHit(exchange: OriginExchange, site: Site, egress: EdgeEgress): Answer | undefined {
  const { method, headers } = exchange
  if (egress.hit === undefined || site.rules !== undefined || (method !== 'GET' && method !== 'HEAD')) return undefined
  if (site.cacheRules !== undefined || site.cache?.staticFiles !== undefined) return undefined
  if (exchange.body !== null || exchange.wantsUpgrade || connectionNames(headers) !== undefined) return undefined
  if (headerValue(headers, 'cdn-loop') !== undefined) return undefined
  const answer = egress.hit({
    by: { site: site.name },
    method,
    headers,
    publicUrl: publicUrl(exchange.scheme, exchange.host, exchange.path),
    changed: changedOnTheWay,
    ...(site.cache && { cache: { policy: site.cache } }),
  })
  return answer && withCacheHeaders(exchange, answer)
}

function withCacheHeaders(exchange: OriginExchange, answer: EgressAnswer): Answer {
  if (answer.cacheOutcome === undefined) return answer
  exchange.cache = answer.cacheOutcome
  addCacheHeaders(answer)
  return answer
}

async function askOrigin(
  exchange: OriginExchange,
  site: Site,
  { url, pool }: Extract<Target, { readonly kind: 'origin' }>,
  options: OriginOptions,
  reply: Pick<Reply, 'informational'>,
): Promise<Answer> {
  const onInformational: EgressRequest['onInformational'] = (status, fields) => reply.informational(status, fields)
  const headers = forwardedHeaders(exchange, options.pop, options.limits.requestLoops)
  // RFC 9110 §7.6.3: the version in which the request came here.
  headers.push('via', `${exchange.httpVersion} rimward`, 'x-forwarded-host', exchange.host)
  if (asksForTrailers(exchange.headers)) headers.push('te', 'trailers')
  const rules = readyRules(site)
  // Fastly's services and their origins know the client by this name.
  if (rules !== undefined) headers.push('fastly-client-ip', exchange.connection.client.address)
  if (rules !== undefined) return fetchByRules(exchange, site, { rules, headers, onInformational }, options)
  const { path } = exchange
  if (exchange.method === 'PURGE' && options.purge !== undefined)
    return answerPurge(exchange, site.name, path, options.purge)
  const wanted = { url: originUrl(url, path), path, headers, pool, onInformational }
  const kept = decideKeeping(site, exchange)
  if (kept === undefined) return ask(exchange, site, wanted, options)
  const { wish, onOriginAnswer, onClientAnswer } = kept
  const answer = await ask(
    exchange,
    site,
    { ...wanted, wish, onOriginAnswer, again: onOriginAnswer && (() => keptAgain(exchange)) },
    options,
  )
  return onClientAnswer === undefined ? answer : onClientAnswer(answer)
}

interface ByRules {
  readonly rules: ReadyRules
  readonly headers: HeaderList
  readonly onInformational: EgressRequest['onInformational']
}

async function fetchByRules(
  exchange: OriginExchange,
  site: Site,
  { rules, headers, onInformational }: ByRules,
  options: OriginOptions,
): Promise<Answer> {
  const { written } = rules.rules
  for (const name of written) removeField(headers, name)
  const facts = ruleFacts(exchange, headers, rules.lookups, options.pop)
  const plan = planFetch(rules, facts, exchange.host)
  if (exchange.method === 'PURGE' && options.purge !== undefined)
    return answerPurge(exchange, site.name, facts.url, options.purge)
  const finish = (answer: Answer) => {
    exchange.mayCompress = mayCompress(rules.rules.compression, facts, answer)
    return withoutSurrogates(finishAnswer(rules, facts, answer))
  }
  exchange.finishPage = finish
  if (plan.kind === 'answer') return finish(plan.answer)
  const { pool, onOriginAnswer } = plan
  const again = onOriginAnswer && (() => ruledAgain(facts, plan.decided))
  const wish = written.length === 0 ? plan.wish : { ...plan.wish, writtenFields: written }
  const url = originUrl(pool.origins[0]!.url, facts.url)
  const wanted = { url, path: facts.url, headers: facts.headers, pool, wish, onOriginAnswer, again, onInformational }
  return finish(await ask(exchange, site, wanted, options))
}

interface Wanted {
  readonly url: string
  /** As the cache knows it: path and query after the rules, before the origin's own path. */
  readonly path: string
  readonly headers: HeaderList
  readonly pool: OriginPool | undefined
  readonly wish?: CacheWish | undefined
  readonly onOriginAnswer?: EgressRequest['onOriginAnswer'] | undefined
  /** What a shield makes `onOriginAnswer` of. */
  readonly again?: (() => FetchedAgain) | undefined
  readonly onInformational: EgressRequest['onInformational']
}

async function ask(
  exchange: OriginExchange,
  site: Site,
  { url, path, headers, pool, wish, onOriginAnswer, again, onInformational }: Wanted,
  { egress }: OriginOptions,
): Promise<Answer> {
  const started = performance.now()
  const cache = site.cache === undefined ? wish : { ...wish, policy: { ...site.cache, ...wish?.policy } }
  const answer = await egress.fetch({
    by: { site: site.name },
    method: exchange.method,
    url,
    headers,
    body: exchange.body,
    wantsUpgrade: exchange.wantsUpgrade,
    signal: exchange.signal,
    publicUrl: publicUrl(exchange.scheme, exchange.host, path),
    ...(cache && { cache }),
    ...(onOriginAnswer && { onOriginAnswer }),
    ...(onInformational && { onInformational }),
    client: exchange.connection.client.address,
    ...(pool && { pool }),
    ...shieldOf(site, pool, again),
  })
  const { tier } = answer
  const shielded = tier?.kind === 'answered'
  if (shielded) exchange.shield = tier.pop
  exchange.timings[shielded ? 'shield' : 'origin'] = performance.now() - started
  return withCacheHeaders(exchange, answer)
}

/** Words between an origin and its delivery network, not for clients (Edge Architecture Specification §2.3). */
const surrogates: ReadonlySet<string> = new Set(['surrogate-control', 'surrogate-key'])

function withoutSurrogates(answer: Answer): Answer {
  const headers: string[] = []
  for (let index = 0; index < answer.headers.length; index += 2)
    if (!surrogates.has(answer.headers[index]!.toLowerCase()))
      headers.push(answer.headers[index]!, answer.headers[index + 1]!)
  return headers.length === answer.headers.length ? answer : { ...answer, headers }
}

/** The path of the origin's URL goes in front of the request's: `https://o.example/base` and `/a?b` make `/base/a?b`. */
export function originUrl(origin: string, path: string): string {
  const base = new URL(origin)
  return `${base.origin}${base.pathname.replace(/\/$/, '')}${path}`
}
