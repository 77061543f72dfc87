/**
 * The life of one request that may be answered from the cache: look, decide, and where the origin must be asked, ask
 * once for all who want the same.
 */
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { EgressAnswer, EgressRequest } from '#/core/ports.ts'
import { countHops } from '#/http/cdn-loop.ts'
import { headerValue } from '#/http/header-list.ts'
import { decideRanges } from '#/http/range.ts'
import { answerStored, between, headersOf, made, type Told, withoutBodyFields } from './answer-stored.ts'
import type { Ask } from './ask.ts'
import { areAscending, byteRanges, cutParts } from './byteranges.ts'
import type { Forwarded } from './cache-status.ts'
import { type Choice, type Chosen, choose } from './choose.ts'
import { withCodings } from './coded-bodies.ts'
import { restOf } from './complete-part.ts'
import type { FanOut } from './fan-out.ts'
import { type Basis, createFlight, dropBody, type Flight, type FlightParts, type Landed } from './flight.ts'
import { mayReuse, policyOf, ttlOf } from './may-reuse.ts'
import { conditionalNames, ifRangeHolds, notModified } from './preconditions.ts'
import { answerInSegments } from './segments.ts'
import type { StoredAnswer, StoredHead } from './store.ts'
import { withoutSurrogate } from './stored-fields.ts'
import { selection } from './vary-key.ts'

export interface CachedParts extends FlightParts {
  /** What may be joined. */
  readonly flights: Map<string, Flight>
  /** How often a stored answer was used. */
  readonly uses: WeakMap<StoredHead, number>
  readonly coding: Set<string>
}

/** Rejects as the egress behind it does. */
export async function fetchCached(request: EgressRequest, ask: Ask, parts: CachedParts): Promise<EgressAnswer> {
  const looked = parts.store.find(ask.key)
  // A store that cannot read now has nothing.
  const found = Array.isArray(looked) ? looked : await (looked as Promise<StoredAnswer[]>).catch(() => [])
  const choice = choose(found, ask, parts.purges, parts.limits)
  for (const gone of choice.gone) parts.store.remove(gone)
  const { best } = choice
  if (best === undefined || ask.wish.refresh === true) return fetchMissing(request, ask, choice, parts)
  const now = parts.clock()
  const { stored, staleSince } = best
  const reuse = mayReuse(stored.head, ask.directives, now, staleSince)
  switch (reuse.kind) {
    case 'fresh':
      return withCodings(
        answerStored(stored, ask, now, { outcome: 'hit', ttlMs: reuse.ttlMs, hits: countUse(stored, parts) }),
        stored,
        parts,
      )
    case 'while-revalidating': {
      const first = revalidateBehind(request, ask, best, parts)
      const told: Told = {
        outcome: first ? 'stale' : 'updating',
        ttlMs: reuse.ttlMs,
        detail: 'stale-while-revalidate',
        hits: countUse(stored, parts),
      }
      return withCodings(answerStored(stored, ask, now, told), stored, parts)
    }
    case 'revalidate': {
      if (ask.directives?.onlyIfCached === true) return notCached()
      const forwarded: Forwarded = reuse.why === 'request' ? 'request' : 'stale'
      const shareable = reuse.why === 'stale'
      return fetchTogether(request, ask, { basis: best, forwarded, vary: stored.head.vary, shareable }, parts)
    }
  }
}

/** How often the answer was used, this time included. */
export function countUse({ head }: StoredAnswer, { uses }: CachedParts): number {
  const times = (uses.get(head) ?? 0) + 1
  uses.set(head, times)
  return times
}

async function fetchMissing(
  request: EgressRequest,
  ask: Ask,
  choice: Choice,
  parts: CachedParts,
): Promise<EgressAnswer> {
  if (ask.directives?.onlyIfCached === true) return notCached()
  const large = parts.large.get(ask.key)
  if (large !== undefined) {
    const answer = await answerInSegments(request, ask, large, {
      segmentBytes: parts.limits.cacheSegmentBytes,
      fetchSegment: (piece, pieceAsk) => fetchCached(piece, pieceAsk, parts),
      onChanged: () => parts.large.delete(ask.key),
    })
    if (answer !== undefined) return answer
  }
  const forwarded = choice.vary !== undefined && choice.vary.length > 0 ? 'vary-miss' : 'uri-miss'
  const beginning = choice.beginning?.stored
  if (beginning !== undefined && isFresh(beginning.head, parts) && restOf(beginning) !== undefined) {
    const errand: Errand = { basis: undefined, beginning, forwarded: 'partial', vary: choice.vary, shareable: true }
    return fetchTogether(request, ask, errand, parts)
  }
  return fetchTogether(request, ask, { basis: undefined, forwarded, vary: choice.vary, shareable: true }, parts)
}

/** RFC 9111 §5.2.1.7. */
function notCached(): EgressAnswer {
  return made(504, ['content-length', '0', 'cache-control', 'no-store'], null, {
    outcome: 'miss',
    detail: 'only-if-cached',
  })
}

interface Errand {
  readonly basis: Chosen | undefined
  /** The rest of this makes the whole. */
  readonly beginning?: StoredAnswer
  readonly forwarded: Forwarded
  /** Fields by which the answers of this key differ, as far as is known. */
  readonly vary: readonly string[] | undefined
  /** Others may ask at the same time and take the same answer. */
  readonly shareable: boolean
}

/** What can be fetched together has the same text. */
function flightKey(ask: Ask, vary: readonly string[] | undefined): string {
  let key = ask.key
  if (vary !== undefined && vary.length > 0) key += `\nvary ${selection(vary, ask.headers)}`
  if (ask.range !== undefined) key += `\nrange ${ask.range} ${headerValue(ask.headers, 'if-range') ?? ''}`
  return key
}

async function fetchTogether(
  request: EgressRequest,
  ask: Ask,
  errand: Errand,
  parts: CachedParts,
): Promise<EgressAnswer> {
  let key = flightKey(ask, errand.vary)
  // Conditions that no cache may judge (RFC 9111 §4.3.2).
  if (errand.basis === undefined && names(ask, originConditions))
    return fetchAlone(request, ask, errand.forwarded, parts)
  if (parts.solo.has(key) || wentRound(request)) {
    // What a client has already is for the origin to say, where nothing is stored that could; HEAD costs no body then.
    if (errand.basis === undefined && (ask.method === 'HEAD' || names(ask, conditionalNames)))
      return fetchAlone(request, ask, errand.forwarded, parts)
    return lead(request, ask, key, { ...errand, shareable: false }, parts)
  }
  // Twice at most: what the others fetch may turn out to be another variant.
  for (let attempt = 0; attempt < 2; attempt++) {
    const flight = errand.shareable ? parts.flights.get(key) : undefined
    if (flight === undefined) return lead(request, ask, key, errand, parts)
    const landed = await waitFor(flight, request)
    const answer = await join(landed, flight, ask, parts)
    if (answer !== undefined) return answer
    if (landed.kind === 'alone') break
    if (parts.flights.get(key) === flight && parts.purges.sequence > flight.sequence) parts.flights.delete(key)
    if (landed.kind === 'shared') key = flightKey(ask, landed.head.vary)
  }
  return fetchAlone(request, ask, errand.forwarded, parts)
}

/** Programs called each other on the way here, after one entry: what it would wait for may be waiting for it. */
const wentRound = ({ by, headers }: EgressRequest) => 'program' in by && countHops(headers) > 1

const originConditions: ReadonlySet<string> = new Set(['if-match', 'if-unmodified-since'])

function names({ headers }: Ask, fields: ReadonlySet<string>): boolean {
  return headers.some((name, index) => index % 2 === 0 && fields.has(name.toLowerCase()))
}

function lead(
  request: EgressRequest,
  ask: Ask,
  key: string,
  errand: Errand,
  parts: CachedParts,
): Promise<EgressAnswer> {
  const flight = launch(request, ask, key, errand, { background: false, ...parts })
  return waitFor(flight, request).then((landed) => answerLeader(landed, flight, ask, parts))
}

function launch(
  request: EgressRequest,
  ask: Ask,
  key: string,
  { basis, beginning, forwarded, shareable }: Errand,
  parts: CachedParts & { readonly background: boolean },
): Flight {
  const flight = createFlight(
    { key, ask, request, basis: basis && validatable(basis), beginning, forwarded, background: parts.background },
    parts,
  )
  parts.arriving.add(flight)
  if (shareable) parts.flights.set(key, flight)
  void flight.over.then(() => {
    parts.arriving.delete(flight)
    if (parts.flights.get(key) === flight) parts.flights.delete(key)
  })
  return flight
}

/** Parts are not validated: their range is asked for anew. */
function validatable(chosen: Chosen): Basis | undefined {
  return chosen.stored.head.partial === undefined ? chosen : undefined
}

/** False when somebody does it already. */
function revalidateBehind(request: EgressRequest, ask: Ask, basis: Chosen, parts: CachedParts): boolean {
  const key = flightKey(ask, basis.stored.head.vary)
  if (parts.flights.has(key)) return false
  launch(
    request,
    ask,
    key,
    { basis, forwarded: 'stale', vary: undefined, shareable: true },
    { background: true, ...parts },
  )
  return true
}

/** Rejects when the client goes away first; the flight goes on for the others. */
async function waitFor(flight: Flight, { signal, onInformational }: EgressRequest): Promise<Landed> {
  flight.wait(onInformational)
  const left = Promise.withResolvers<never>()
  const leave = () => left.reject(new EdgeError('client_gone', 'The request was given up before it was answered.'))
  if (signal.aborted) leave()
  else signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([flight.landed, left.promise])
  } finally {
    signal.removeEventListener('abort', leave)
    flight.leave()
  }
}

function answerLeader(landed: Landed, flight: Flight, ask: Ask, parts: CachedParts): EgressAnswer {
  switch (landed.kind) {
    case 'failed':
      throw landed.error
    case 'kept':
      return answerKept(landed, flight.forwarded, ask, parts, false)
    case 'alone':
      return answerAlone(landed.answer, flight.forwarded, landed.why, ask)
    case 'shared':
      return answerShared(landed, flight.forwarded, ask, parts, false)
  }
}

/** What others fetched, where this request may have it too; undefined where it may not. */
async function join(landed: Landed, flight: Flight, ask: Ask, parts: CachedParts): Promise<EgressAnswer | undefined> {
  switch (landed.kind) {
    case 'failed':
      throw landed.error
    case 'alone':
      return undefined
    case 'kept': {
      if (landed.why === 'validated' && !isFresh(landed.stored.head, parts)) return undefined
      return answerKept(landed, flight.forwarded, ask, parts, true)
    }
    case 'shared': {
      const { head, fan } = landed
      if (!landed.forOthers || flight.doomed || parts.purges.of(head)?.hard === true) return undefined
      if (selection(head.vary, ask.headers) !== policyOf(head).selects) return undefined
      if (!fan.joinable) return undefined
      return answerShared(landed, flight.forwarded, ask, parts, true)
    }
  }
}

function isFresh(head: StoredHead, { clock, purges }: CachedParts): boolean {
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

/** Past all others: what they fetched is not for this client. The client's own conditions go along. */
async function fetchAlone(
  request: EgressRequest,
  ask: Ask,
  forwarded: Forwarded,
  parts: CachedParts,
): Promise<EgressAnswer> {
  const { cache: _, ...plain } = request
  const answer = await parts.next.fetch(plain)
  const told: Told = { outcome: 'dynamic', forwarded, forwardedStatus: answer.status }
  return { ...answer, ...made(answer.status, visible(answer.headers, ask), answer.body, told) }
}

function visible(headers: HeaderList, ask: Ask): HeaderList {
  return headerValue(ask.headers, 'fastly-debug') === undefined ? withoutSurrogate(headers) : headers
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
