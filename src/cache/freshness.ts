/** How long an answer is fresh and how old it is: RFC 9111 §4.2. Times are wall clock, handed in. */
import type { CachePolicy, CacheWish } from '#/core/cache-policy.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { EpochMs, Milliseconds } from '#/core/units.ts'
import { parseDeltaSeconds } from '#/http/cache-control.ts'
import { headerValue, headerValues } from '#/http/header-list.ts'
import { parseHttpDate } from '#/http/http-date.ts'
import type { EffectiveDirectives } from './directives.ts'

export interface AnswerFacts {
  readonly status: number
  readonly headers: HeaderList
  readonly requestedAt: EpochMs
  readonly receivedAt: EpochMs
  readonly withheld?: boolean | undefined
}

export interface Lifetime {
  readonly ms: Milliseconds
  readonly why: 'ttl' | 'status' | 's-maxage' | 'max-age' | 'expires' | 'default' | 'heuristic' | 'none'
}

/** RFC 9110 §15.1: statuses whose answers may be kept without the origin saying so. */
const heuristicStatuses: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])

/**
 * What a site's default covers: Fastly's list and 308. Left out are the statuses that one client's odd request can
 * cause (400, 405, 413, 414, 431, 501): kept by default, they would lock all others out.
 */
const defaultStatuses: ReadonlySet<number> = new Set([200, 203, 300, 301, 302, 308, 404, 410])

/** A tenth of the time since the last change (§4.2.2), at most a day. */
const heuristicPart = 0.1
const longestHeuristicMs = 86_400_000

/** What Cloudflare keeps where it caches everything (developers.cloudflare.com/cache/how-to/configure-cache-status-code). */
const everythingTtls: CachePolicy['ttlByStatus'] = [
  { from: 200, to: 200, ttl: 7_200 },
  { from: 206, to: 206, ttl: 7_200 },
  { from: 301, to: 301, ttl: 7_200 },
  { from: 302, to: 303, ttl: 1_200 },
  { from: 403, to: 403, ttl: 60 },
  { from: 404, to: 404, ttl: 180 },
  { from: 410, to: 410, ttl: 180 },
]

/** A ttl below 0 means «do not store» (`cacheTtlByStatus` of Workers). */
export function lifetimeOf(
  answer: AnswerFacts,
  { from, directives }: EffectiveDirectives,
  policy: CachePolicy,
  wish: CacheWish,
): Lifetime {
  const forced = forcedTtl(answer.status, policy, wish)
  if (forced !== undefined) return { ms: forced * 1000, why: wish.ttl === forced ? 'ttl' : 'status' }
  if (directives.sMaxage !== undefined) return { ms: directives.sMaxage * 1000, why: 's-maxage' }
  if (directives.maxAge !== undefined) return { ms: directives.maxAge * 1000, why: 'max-age' }
  const general = from === 'cache-control' || from === 'none'
  const expires = general ? headerValues(answer.headers, 'expires') : undefined
  if (expires !== undefined) {
    // A date that cannot be read is in the past (§5.3).
    const until = parseHttpDate(expires, answer.receivedAt)
    return { ms: until === undefined ? 0 : Math.max(0, until - dateOf(answer)), why: 'expires' }
  }
  const byStatus = ttlByStatus(policy.ttlByStatus, answer.status)
  if (byStatus !== undefined) return { ms: byStatus * 1000, why: 'status' }
  const ordinary = wish.everything === true ? ttlByStatus(everythingTtls, answer.status) : undefined
  if (ordinary !== undefined) return { ms: ordinary * 1000, why: 'default' }
  if (policy.defaultTtl !== undefined && defaultStatuses.has(answer.status))
    return { ms: policy.defaultTtl * 1000, why: 'default' }
  return heuristicLifetime(answer, directives.public)
}

function heuristicLifetime(answer: AnswerFacts, isPublic: boolean): Lifetime {
  const changed = headerValue(answer.headers, 'last-modified')
  const changedAt = changed === undefined ? undefined : parseHttpDate(changed, answer.receivedAt)
  if (changedAt === undefined || !(isPublic || heuristicStatuses.has(answer.status))) return { ms: 0, why: 'none' }
  const ms = Math.min((dateOf(answer) - changedAt) * heuristicPart, longestHeuristicMs)
  return { ms: Math.max(0, Math.floor(ms)), why: 'heuristic' }
}

/** What the program or the operator ordered over the origin's head, in seconds. */
export function forcedTtl(status: number, policy: CachePolicy, wish: CacheWish): number | undefined {
  const wished = ttlByStatus(wish.ttlByStatus, status)
  if (wished !== undefined) return wished
  // As at Cloudflare, `cacheTtl` is for successes; an error keeps what it says itself.
  if (wish.ttl !== undefined && status < 400) return wish.ttl
  return policy.override === true ? ttlByStatus(policy.ttlByStatus, status) : undefined
}

function ttlByStatus(rows: CachePolicy['ttlByStatus'], status: number): number | undefined {
  return rows?.find(({ from, to }) => status >= from && status <= to)?.ttl
}

/** `Date`, or when the answer came where there is none that can be read (RFC 9110 §6.6.1). */
export function dateOf({ headers, receivedAt }: AnswerFacts): EpochMs {
  const date = headerValue(headers, 'date')
  return (date === undefined ? undefined : parseHttpDate(date, receivedAt)) ?? receivedAt
}

/** §4.2.3, `corrected_initial_age`. */
export function initialAge(answer: AnswerFacts): Milliseconds {
  const apparent = Math.max(0, answer.receivedAt - dateOf(answer))
  const delay = answer.receivedAt - answer.requestedAt
  return Math.max(apparent, ageField(answer.headers) * 1000 + delay)
}

/** §5.1: the first member counts; one that cannot be read is as if it were not there. */
function ageField(headers: HeaderList): number {
  const field = headerValue(headers, 'age')
  return field === undefined ? 0 : (parseDeltaSeconds(field.split(',', 1)[0]!.trim()) ?? 0)
}
