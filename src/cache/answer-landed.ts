/** What a flight came to, as the answer of one request: the one that led it, or one that waited for it. */
import type { HeaderList } from '#/core/exchange.ts'
import type { EgressAnswer } from '#/core/ports.ts'
import type { TierAnswer } from '#/core/tiers.ts'
import { headerValue } from '#/http/header-list.ts'
import { decideRanges } from '#/http/range.ts'
import { answerStored, between, headersOf, made, type Told, withoutBodyFields } from './answer-stored.ts'
import { type Ask, seesSurrogates } from './ask.ts'
import { areAscending, byteRanges, cutParts } from './byteranges.ts'
import type { Forwarded } from './cache-status.ts'
import { type CachedParts, countUse } from './cached-parts.ts'
import { withCodings } from './coded-bodies.ts'
import type { FanOut } from './fan-out.ts'
import { dropBody, type Flight, type Landed } from './flight.ts'
import { policyOf, ttlOf } from './may-reuse.ts'
import { ifRangeHolds, notModified } from './preconditions.ts'
import type { StoredHead } from './store.ts'
import { withoutSurrogate } from './stored-fields.ts'
import { selection } from './vary-key.ts'

/** Rejects as the flight did. */
export function answerLeader(landed: Landed, flight: Flight, ask: Ask, parts: CachedParts): EgressAnswer {
  switch (landed.kind) {
    case 'failed':
      throw landed.error
    case 'kept':
      return withTier(answerKept(landed, flight.forwarded, ask, parts, false), landed.tier)
    case 'alone':
      return answerAlone(landed.answer, flight.forwarded, landed.why, ask)
    case 'shared':
      return withTier(answerShared(landed, flight.forwarded, ask, parts, false), landed.answer.tier)
  }
}

/** What others fetched, where this request may have it too; undefined where it may not. */
export async function join(
  landed: Landed,
  flight: Flight,
  ask: Ask,
  parts: CachedParts,
): Promise<EgressAnswer | undefined> {
  switch (landed.kind) {
    case 'failed':
      throw landed.error
    case 'alone':
      return undefined
    case 'kept': {
      if (landed.why === 'validated' && !isFresh(landed.stored.head, parts)) return undefined
      return withTier(answerKept(landed, flight.forwarded, ask, parts, true), landed.tier)
    }
    case 'shared': {
      const { head, fan } = landed
      if (!landed.forOthers || flight.doomed || parts.purges.of(head) !== undefined) return undefined
      if (selection(head.vary, ask.headers) !== policyOf(head).selects) return undefined
      if (!fan.joinable) return undefined
      return withTier(answerShared(landed, flight.forwarded, ask, parts, true), landed.answer.tier)
    }
  }
}

function withTier(answer: EgressAnswer, tier: TierAnswer | undefined): EgressAnswer {
  return tier === undefined ? answer : { ...answer, tier }
}

export function isFresh(head: StoredHead, { clock, purges }: CachedParts): boolean {
  if (policyOf(head).validateAlways) return false
  const purged = purges.of(head)
  return purged === undefined && ttlOf(head, clock(), policyOf(head).staleSince) > 0
}

function answerKept(
  { stored, status, staleSince, why }: Extract<Landed, { kind: 'kept' }>,
  forwarded: Forwarded,
  ask: Ask,
  parts: CachedParts,
  collapsed: boolean,
): EgressAnswer {
  const now = parts.clock()
  const ttlMs = ttlOf(stored.head, now, staleSince)
  const asked = {
    forwarded,
    ttlMs,
    collapsed,
    hits: countUse(stored, parts),
    ...(status && { forwardedStatus: status }),
  }
  const told: Told =
    why === 'validated'
      ? { ...asked, outcome: 'revalidated', stored: true }
      : { ...asked, outcome: 'stale', detail: why }
  return withCodings(answerStored(stored, ask, now, told), stored, parts)
}

function answerShared(
  landed: Extract<Landed, { kind: 'shared' }>,
  forwarded: Forwarded,
  ask: Ask,
  parts: CachedParts,
  collapsed: boolean,
): EgressAnswer {
  const { head, fan, declared, contentRange } = landed
  const now = parts.clock()
  const told: Told = {
    outcome: forwarded === 'stale' || forwarded === 'request' ? 'expired' : 'miss',
    forwarded,
    forwardedStatus: head.status,
    ttlMs: ttlOf(head, now, undefined),
    stored: landed.stored,
    collapsed,
  }
  const headers = collapsed ? headersOf(head, ask, now) : sentHeaders(landed.answer, ask)
  const policy = policyOf(head)
  if (head.status === 200) {
    if (notModified(ask.headers, policy, now)) return unread(landed, made(304, withoutBodyFields(headers), null, told))
    const asked = ask.range ?? ask.ranges
    if (asked !== undefined && declared !== undefined && ifRangeHolds(ask.headers, policy)) {
      const part = decideRanges(asked, declared)
      if (part.kind === 'unsatisfiable') {
        headers.push('content-range', `bytes */${declared}`)
        return unread(landed, made(416, withoutBodyFields(headers), null, told))
      }
      if (part.kind === 'part') {
        headers.push('content-range', `bytes ${part.start}-${part.end}/${declared}`)
        headers.push('content-length', String(part.end - part.start + 1))
        return made(206, headers, between(fan.follow(), part.start, part.end), told)
      }
      // In another order than they arrive in, parts would have to be held until their turn.
      if (part.kind === 'parts' && areAscending(part.parts)) {
        const ranges = byteRanges(headers, part.parts, declared)
        const arriving = fan.follow()
        const body = ranges.body(cutParts(arriving), () => arriving.destroy())
        return made(206, ranges.headers, body, told)
      }
    }
  }
  if (contentRange !== undefined) headers.push('content-range', contentRange)
  if (declared !== undefined && head.status !== 204) headers.push('content-length', String(declared))
  const empty = ask.method === 'HEAD' || landed.answer.body === null
  return empty ? unread(landed, made(head.status, headers, null, told)) : made(head.status, headers, fan.follow(), told)
}

/** The body goes on arriving only where somebody else reads it or the store keeps it. */
function unread({ fan }: { readonly fan: FanOut }, answer: EgressAnswer): EgressAnswer {
  fan.follow().destroy()
  return answer
}

/** An answer that is for this request only; its body goes through untouched. */
function answerAlone(answer: EgressAnswer, forwarded: Forwarded, why: string, ask: Ask): EgressAnswer {
  const told: Told = { outcome: 'dynamic', forwarded, forwardedStatus: answer.status, detail: why }
  const headers = visible(answer.headers, ask)
  const etag = headerValue(headers, 'etag')
  if (answer.status === 200 && etag !== undefined && notModified(ask.headers, { etag, changedAt: Infinity }, 0)) {
    dropBody(answer)
    return made(304, withoutBodyFields(headers), null, told)
  }
  if (ask.method === 'HEAD') {
    dropBody(answer)
    return made(answer.status, headers, null, told)
  }
  return { ...answer, ...made(answer.status, headers, answer.body, told) }
}

export function visible(headers: HeaderList, ask: Ask): HeaderList {
  return !seesSurrogates(ask) ? withoutSurrogate(headers) : headers
}

/**
 * What the origin sent to the one who asked first, also the fields that others must not get (`private="…"`). Length and
 * range are written anew, since a range may be cut out.
 */
function sentHeaders(answer: EgressAnswer, ask: Ask): HeaderList {
  const kept: HeaderList = []
  const headers = visible(answer.headers, ask)
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    if (name === 'content-length' || (name === 'content-range' && answer.status === 206)) continue
    kept.push(headers[index]!, headers[index + 1]!)
  }
  return kept
}
