/** Requests that go past the cache, and what they change in it: RFC 9111 §4.4. */
import { Readable } from 'node:stream'
import type { EgressAnswer, EgressRequest } from '#/core/ports.ts'
import { headerValue } from '#/http/header-list.ts'
import { made } from './answer-stored.ts'
import { type Ask, type PassReason, readAsk } from './ask.ts'
import { canonicalUrl } from './cache-key.ts'
import type { Forwarded } from './cache-status.ts'
import type { CachedParts } from './cached-parts.ts'
import { createFanOut } from './fan-out.ts'
import { type Arriving, toNext } from './flight.ts'
import { mayStore } from './may-store.ts'
import type { StoredHead } from './store.ts'
import { tagsOf, withoutSurrogate } from './stored-fields.ts'

const safe: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/** RFC 9110 §9.2.1: methods that this cache does not know are taken for unsafe. */
export async function fetchPast(request: EgressRequest, why: PassReason, parts: CachedParts): Promise<EgressAnswer> {
  const requestedAt = parts.clock()
  const sequence = parts.purges.sequence
  const answer = await parts.next.fetch(toNext(request))
  if (why === 'upgrade') return answer
  let body = answer.body
  if (!safe.has(request.method) && answer.status >= 200 && answer.status < 400) {
    const ask = readAsk({ ...request, method: 'GET' })
    await invalidate(request, ask, answer, parts)
    if (request.method === 'POST') body = storePosted(answer, ask, { requestedAt, sequence }, parts)
  }
  const forwarded: Forwarded = why === 'method' ? 'method' : 'bypass'
  const debug = request.forTier === true || headerValue(request.headers, 'fastly-debug') !== undefined
  return {
    ...answer,
    ...made(answer.status, debug ? answer.headers : withoutSurrogate(answer.headers), body, {
      outcome: why === 'method' ? 'dynamic' : 'bypass',
      forwarded,
      forwardedStatus: answer.status,
    }),
  }
}

/** The target and, on the same origin, what `Location` and `Content-Location` name. What is in flight is not kept. */
async function invalidate(request: EgressRequest, ask: Ask, answer: EgressAnswer, parts: CachedParts): Promise<void> {
  const keys = new Set([ask.key])
  for (const name of ['location', 'content-location']) {
    const field = headerValue(answer.headers, name)
    // Relative to what the origin was asked for; a path it names is one of the address that clients know.
    const url = field === undefined ? null : URL.parse(field, request.url)
    if (url === null || (url.origin !== originOf(request.url) && url.origin !== originOf(ask.url))) continue
    const known = `${originOf(ask.url)}${url.pathname}${url.search}`
    keys.add(readAsk({ ...request, method: 'GET', publicUrl: known }).key)
  }
  for (const one of parts.arriving) if (keys.has(one.key)) one.doom()
  for (const [name, flight] of parts.flights) if (flight.doomed) parts.flights.delete(name)
  for (const key of keys) for (const stored of await parts.store.find(key)) parts.store.remove(stored)
}

function originOf(url: string): string {
  return URL.parse(url)?.origin ?? ''
}

/** RFC 9110 §9.3.3: an answer that says to be what a GET of this address gets, and for how long, is kept as such. */
function storePosted(
  answer: EgressAnswer,
  ask: Ask,
  began: { readonly requestedAt: number; readonly sequence: number },
  parts: CachedParts,
): EgressAnswer['body'] {
  const { body } = answer
  const location = headerValue(answer.headers, 'content-location')
  const url = location === undefined ? null : URL.parse(location, ask.url)
  if (answer.status !== 200 || url === null || canonicalUrl(url.href) !== ask.url) return body
  const receivedAt = parts.clock()
  const storing = mayStore({ ...answer, requestedAt: began.requestedAt, receivedAt }, { ...ask, range: undefined })
  if (!storing.store || storing.policy.lifetimeMs === 0 || storing.policy.lifetimeFrom === 'heuristic') return body
  const length = headerValue(answer.headers, 'content-length')
  const declared = length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined
  const head: StoredHead = {
    key: ask.key,
    variant: storing.policy.selects,
    vary: storing.vary,
    url: ask.url,
    status: answer.status,
    headers: storing.headers,
    tags: tagsOf(answer.headers, ask.wish.tags ?? [], { count: parts.limits.cacheTags }),
    scope: ask.scope,
    requestedAt: began.requestedAt,
    receivedAt,
    sequence: began.sequence,
    policy: storing.policy as unknown as Record<string, unknown>,
    ...(ask.wish.memoryOnly === true ? { memoryOnly: true as const } : {}),
  }
  const writer = parts.store.open(head, declared)
  if (writer === undefined) return body
  let doomed = false
  const fan = createFanOut({
    source: body instanceof Readable ? body : Readable.from(body === null ? [] : [body], { objectMode: false }),
    writer,
    keepBytes: parts.limits.cacheFollowBytes,
    storeBytes: parts.limits.cacheObjectBytes,
    unread: false,
    declared: body instanceof Readable ? declared : undefined,
    mayFinish: () => !doomed && parts.purges.of(head)?.hard !== true,
    onDeserted: () => 'end',
  })
  const arriving: Arriving = {
    key: ask.key,
    sequence: began.sequence,
    doom() {
      doomed = true
      fan.dropWriter()
    },
    get doomed() {
      return doomed
    },
  }
  parts.arriving.add(arriving)
  void fan.done.then((stored) => {
    parts.arriving.delete(arriving)
    if (stored !== undefined && doomed) parts.store.remove(stored)
  })
  return body === null ? null : fan.follow()
}
