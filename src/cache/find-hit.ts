/**
 * The short way for what needs nobody else: a whole, fresh answer in memory, found and made without a promise and without
 * the request that an origin would get. Whatever is not that plain it leaves to `fetch-cached.ts`, by saying nothing.
 */
import type { EgressAnswer, HitRequest } from '#/core/ports.ts'
import { StoredUse } from '#/core/stored-use.ts'
import type { EpochMs } from '#/core/units.ts'
import { headerValue } from '#/http/header-list.ts'
import { answerStored } from './answer-stored.ts'
import { type Ask, isBypassed, readAsk, seesSurrogates } from './ask.ts'
import { cacheStatus } from './cache-status.ts'
import { type CachedParts, countUse } from './cached-parts.ts'
import { choose } from './choose.ts'
import { withCodings } from './coded-bodies.ts'
import { ageOf, mayReuse, policyOf } from './may-reuse.ts'
import { notModified } from './preconditions.ts'
import type { StoredAnswer } from './store.ts'

export function findHit(request: HitRequest, parts: CachedParts): EgressAnswer | undefined {
  const { changed, cache } = request
  if (cache !== undefined && (isBypassed(cache, request.publicUrl) || cache.refresh === true)) return undefined
  if (cache?.policy?.key?.headers?.some((name) => changed.has(name.toLowerCase()))) return undefined
  const ask = readAsk(request, request.publicUrl)
  const found = parts.store.peek(ask.key)
  if (found === undefined || isSelectedBy(found, changed)) return undefined
  const { best, gone } = choose(found, ask, parts.purges, parts.limits)
  if (best === undefined || gone.length > 0) return undefined
  const { stored, staleSince } = best
  const { head } = stored
  const now = parts.clock()
  const reuse = mayReuse(head, ask.directives, now, staleSince)
  if (reuse.kind !== 'fresh') return undefined
  const hits = countUse(stored, parts)
  const told = { outcome: 'hit', ttlMs: reuse.ttlMs, hits } as const
  const body = isWholeAnswer(ask, stored, now) ? stored.bytes() : undefined
  if (body === undefined || body.length > parts.limits.compressWholeBytes)
    return withCodings(answerStored(stored, ask, now, told), stored, parts)
  const age = String(Math.floor(ageOf(head, now) / 1000))
  return new StoredUse({ fixed: head.headers, age, cacheStatus: cacheStatus(told), cacheHits: hits, body })
}

/** Neither HEAD, nor a part, nor what the client has already, nor what only those who debug see. */
function isWholeAnswer(ask: Ask, { head, bodyBytes }: StoredAnswer, now: EpochMs): boolean {
  const { method, headers } = ask
  if (method !== 'GET' || head.status !== 200 || head.partial !== undefined || bodyBytes === 0) return false
  const policy = policyOf(head)
  if (policy.surrogate !== undefined && seesSurrogates(ask)) return false
  return headerValue(headers, 'range') === undefined && !notModified(headers, policy, now)
}

/** Fields that reach the origin changed cannot be compared with what stands in the client's request. */
function isSelectedBy(found: readonly StoredAnswer[], changed: ReadonlySet<string>): boolean {
  for (const { head } of found) for (const name of head.vary) if (changed.has(name)) return true
  return false
}
