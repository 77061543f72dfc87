/**
 * What a site's delivery rules make of a request and of its answer. One request goes through `planFetch` before the cache
 * is asked, `onOriginAnswer` when an origin has answered, and `finish` before the answer goes to the client.
 */
import type { CacheWish } from '#/core/cache-policy.ts'
import type { CompiledLookups, RuleFacts } from '#/core/compile-condition.ts'
import { type CompiledRules, compileLookups, compileRules, type When } from '#/core/compile-rules.ts'
import type { PoolRule } from '#/core/delivery-rules.ts'
import type { Answer } from '#/core/exchange.ts'
import type { OriginPool } from '#/core/origin.ts'
import type { Site } from '#/core/snapshot.ts'
import { applyForwardedFor, applyHeaderRules, setField } from './change-headers.ts'
import { changeOriginAnswer, ownAnswer } from './change-origin-answer.ts'
import type { OriginExchange } from './origin-exchange.ts'
import type { Pop } from './request-headers.ts'

/** A site's rules, ready for requests. */
export interface ReadyRules {
  readonly rules: CompiledRules
  readonly lookups: CompiledLookups
}

const compiledRules = new WeakMap<object, CompiledRules>()
const compiledLookups = new WeakMap<object, CompiledLookups>()
const noLookups = compileLookups(undefined)

/** Compiles a site's rules the first time that a Snapshot with them is asked; `undefined` where it has none. */
export function readyRules(site: Site): ReadyRules | undefined {
  const { rules, lookups } = site
  if (rules === undefined) return undefined
  return {
    rules: remembered(compiledRules, rules, compileRules),
    lookups: lookups === undefined ? noLookups : remembered(compiledLookups, lookups, compileLookups),
  }
}

function remembered<Key extends object, Value>(
  known: WeakMap<object, Value>,
  key: Key,
  make: (key: Key) => Value,
): Value {
  let value = known.get(key)
  if (value === undefined) {
    value = make(key)
    known.set(key, value)
  }
  return value
}

/**
 * The request as the rules see it. `headers` is a new list that the rules may change. The host is added to it without its
 * port, which no cache key has: what an origin builds from it must not differ between clients of one page.
 */
export function ruleFacts(
  exchange: Pick<OriginExchange, 'method' | 'scheme' | 'httpVersion' | 'host' | 'path' | 'connection'>,
  headers: string[],
  lookups: CompiledLookups,
  pop: Pop,
): RuleFacts {
  headers.push('host', exchange.host)
  return {
    method: exchange.method,
    url: exchange.path,
    headers,
    scheme: exchange.scheme,
    httpVersion: exchange.httpVersion,
    address: exchange.connection.client.address,
    country: exchange.connection.country ?? 'XX',
    pop: pop.id,
    lookups,
    answer: undefined,
  }
}

export type Plan =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | {
      readonly kind: 'fetch'
      readonly pool: OriginPool
      readonly wish: CacheWish | undefined
      readonly onOriginAnswer: ((answer: Answer) => Answer) | undefined
      /** How the answer is kept is part of the wish. */
      readonly decided: boolean
    }

/**
 * The request's phase: changes `facts` (fields and url) and says what to do. The order is that of
 * generated VCL: header rules, the origin, settings of the request, answers of our own.
 */
export function planFetch({ rules }: ReadyRules, facts: RuleFacts, host: string): Plan {
  // Only settings of requests look back at what was there before the header rules.
  const asked = rules.requests.length === 0 ? facts.headers : [...facts.headers]
  applyHeaderRules(rules.headers.request, facts, facts.headers)
  const pool = pickPool(rules.pools, facts)
  const settings = rules.requests.filter(({ applies }) => applies(facts)).map(({ rule }) => rule)
  if (facts.scheme === 'http' && settings.some(({ tlsOnly }) => tlsOnly === true))
    return { kind: 'answer', answer: toTls(host, facts.url) }
  const own = rules.answers.request.find(({ applies }) => applies(facts))
  if (own !== undefined) return { kind: 'answer', answer: ownAnswer(own.rule) }

  let wish: CacheWish | undefined
  for (const { pass, refresh, hostField, forwardedFor, key } of settings) {
    if (pass) wish = { ...wish, bypass: true }
    if (refresh) wish = { ...wish, refresh: true }
    if (key !== undefined) wish = { ...wish, policy: { ...wish?.policy, key } }
    if (hostField !== undefined) setField(facts.headers, 'host', hostField)
    if (forwardedFor !== undefined) applyForwardedFor(facts, forwardedFor, asked)
  }
  applyHeaderRules(rules.headers.fetch, facts, facts.headers)
  const kept = wishOfCaching(rules, facts)
  return {
    kind: 'fetch',
    pool,
    wish: kept === undefined ? wish : { ...wish, ...kept },
    onOriginAnswer: changeOriginAnswer(rules, facts, kept !== undefined),
    decided: kept !== undefined,
  }
}

/** The answer's last phase: on every answer, from wherever it came. */
export function finishAnswer({ rules }: ReadyRules, facts: RuleFacts, answer: Answer): Answer {
  if (rules.headers.response.length === 0) return answer
  const headers = [...answer.headers]
  facts.answer = { status: answer.status, headers }
  applyHeaderRules(rules.headers.response, facts, headers)
  return { ...answer, headers }
}

function pickPool(pools: readonly When<PoolRule>[], facts: RuleFacts): OriginPool {
  const chosen = pools.findLast(({ rule, applies }) => rule.when !== undefined && applies(facts))
  return (chosen ?? pools.find(({ rule }) => rule.when === undefined) ?? pools[0]!).rule.pool
}

/** Rules of caching that the request alone decides become a wish, so that the cache need not ask the origin first. */
function wishOfCaching({ caching }: CompiledRules, facts: RuleFacts): CacheWish | undefined {
  for (const { rule, applies, early } of caching) {
    if (!early) return undefined
    if (!applies(facts)) continue
    if (rule.action === 'pass') return { bypass: true }
    if (rule.ttl === undefined && rule.staleIfError === undefined) return undefined
    return {
      ...(rule.ttl !== undefined && { ttl: rule.ttl, everything: true }),
      ...(rule.staleIfError !== undefined && { staleIfError: rule.staleIfError }),
    }
  }
  return undefined
}

function toTls(host: string, url: string): Answer {
  return { status: 301, headers: ['location', `https://${host}${url}`, 'cache-control', 'no-store'], body: null }
}
