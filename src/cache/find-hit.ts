/**
 * The short way for what needs nobody else: a whole, fresh answer in memory, found and made without a promise and without
 * the request that an origin would get. Whatever is not that plain it leaves to `fetch-cached.ts`, by saying nothing.
 */
import type { EgressAnswer, HitRequest } from '#/core/ports.ts'
import { StoredUse } from '#/core/stored-use.ts'
import { answerStored, headersOf } from './answer-stored.ts'
import { isBypassed, readAsk } from './ask.ts'
import { cacheStatus } from './cache-status.ts'
import { choose } from './choose.ts'
import { type CachedParts, countUse } from './fetch-cached.ts'
import { mayReuse, policyOf } from './may-reuse.ts'
import { notModified } from './preconditions.ts'
import type { StoredAnswer } from './store.ts'

export function findHit(request: HitRequest, parts: CachedParts): EgressAnswer | undefined {
  const { changed, headers, cache } = request
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
  const body = ask.method === 'GET' && head.status === 200 && ask.range === undefined ? stored.bytes() : undefined
  if (body === undefined || body.length === 0 || head.partial !== undefined) return answerStored(stored, ask, now, told)
  if (notModified(headers, policyOf(head), now)) return answerStored(stored, ask, now, told)
  const fields = headersOf(head, ask, now)
  fields.push('content-length', String(body.length))
  return new StoredUse({
    status: 200,
    headers: fields,
    body,
    cacheStatus: cacheStatus(told),
    cacheOutcome: 'hit',
    cacheHits: hits,
    fixed: head.headers,
  })
}

/** Fields that reach the origin changed cannot be compared with what stands in the client's request. */
function isSelectedBy(found: readonly StoredAnswer[], changed: ReadonlySet<string>): boolean {
  for (const { head } of found) for (const name of head.vary) if (changed.has(name)) return true
  return false
}
