/**
 * Fetches the answer of a site whose target is an origin, through the rules that the site has.
 */
import type { RuleFacts } from '#/core/compile-condition.ts'
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Egress, EgressRequest } from '#/core/ports.ts'
import { publicUrl } from '#/core/purge-wishes.ts'
import type { Site } from '#/core/snapshot.ts'
import type { AcceptedExchange } from './accepted.ts'
import { finishAnswer, planFetch, type ReadyRules, readyRules, ruleFacts } from './apply-rules.ts'
import { addCacheHeaders } from './cache-headers.ts'
import { answerPurge, type PurgePort } from './purge-request.ts'
import { forwardedHeaders, type Pop } from './request-headers.ts'

/** Does this origin of a site fail its health check? Handed over in `pop.ts`; without it none does. */
export type IsSick = (site: string, origin: string) => boolean

export interface OriginOptions {
  readonly egress: Pick<Egress, 'fetch'>
  readonly purge: PurgePort | undefined
  readonly pop: Pop
  readonly limits: Limits
  readonly isSick: IsSick | undefined
  /** In [0, 1): chooses between origins that share the load. */
  readonly random: () => number
}

/**
 * Rejects with `origin_*` or `egress_refused`. Without rules the origin's own name is the Host; the client's travels beside
 * it, without its port: no cache key has one, and what an origin builds from it would reach other clients.
 */
export async function fetchOrigin(
  exchange: AcceptedExchange,
  site: Site,
  origin: string,
  options: OriginOptions,
  onInformational?: EgressRequest['onInformational'],
): Promise<Answer> {
  const ready = readyRules(site)
  if (ready !== undefined) return fetchByRules(exchange, site, ready, options, onInformational)
  if (exchange.method === 'PURGE' && options.purge !== undefined)
    return answerPurge(exchange, site.name, exchange.path, options.purge)
  const headers = forwardedHeaders(exchange, options.pop, options.limits.requestLoops)
  headers.push('x-forwarded-host', exchange.host)
  const wanted = { url: originUrl(origin, exchange.path), path: exchange.path, headers }
  return ask(exchange, site, wanted, options, { ...(onInformational && { onInformational }) })
}

async function fetchByRules(
  exchange: AcceptedExchange,
  site: Site,
  ready: ReadyRules,
  options: OriginOptions,
  onInformational: EgressRequest['onInformational'],
): Promise<Answer> {
  const { pop, limits, purge } = options
  const headers = forwardedHeaders(exchange, pop, limits.requestLoops)
  headers.push('x-forwarded-host', exchange.host)
  const facts = ruleFacts(exchange, headers, ready.lookups, pop)
  const plan = planFetch(ready, facts, exchange.host, {
    random: options.random(),
    isSick: (origin) => options.isSick?.(site.name, origin) ?? false,
  })
  if (exchange.method === 'PURGE' && purge !== undefined) return answerPurge(exchange, site.name, facts.url, purge)
  if (plan.kind === 'answer') return withoutSurrogates(finishAnswer(ready, facts, plan.answer))
  const { origin, wish, onOriginAnswer } = plan
  const answer = await ask(exchange, site, askFor(facts, plan.origin.url), options, {
    origin,
    ...(wish !== undefined && { cache: wish }),
    ...(onOriginAnswer !== undefined && { onOriginAnswer }),
    ...(onInformational && { onInformational }),
  })
  return withoutSurrogates(finishAnswer(ready, facts, answer))
}

interface Wanted {
  readonly url: string
  /** As the cache knows it: path and query after the rules, before the origin's own path. */
  readonly path: string
  readonly headers: string[]
}

const askFor = ({ url, headers }: RuleFacts, origin: string): Wanted => ({
  url: originUrl(origin, url),
  path: url,
  headers,
})

async function ask(
  exchange: AcceptedExchange,
  site: Site,
  { url, path, headers }: Wanted,
  { egress }: OriginOptions,
  more: Pick<EgressRequest, 'origin' | 'cache' | 'onOriginAnswer' | 'onInformational'>,
): Promise<Answer> {
  const started = performance.now()
  const policy = site.cache
  const cache = policy === undefined ? more.cache : { ...more.cache, policy: { ...policy, ...more.cache?.policy } }
  const answer = await egress.fetch({
    by: { site: site.name },
    method: exchange.method,
    url,
    publicUrl: publicUrl(exchange.scheme, exchange.host, path),
    headers,
    body: exchange.body,
    wantsUpgrade: exchange.wantsUpgrade,
    signal: exchange.signal,
    ...more,
    ...(cache !== undefined && { cache }),
  })
  if (answer.cacheOutcome !== undefined) {
    exchange.cache = answer.cacheOutcome
    addCacheHeaders(answer)
  }
  exchange.timings.origin = performance.now() - started
  return answer
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
