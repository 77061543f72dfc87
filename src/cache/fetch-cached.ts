/**
 * The life of one request that may be answered from the cache: look, decide, and where the origin must be asked, ask
 * once for all who want the same.
 */
import { EdgeError } from '#/core/errors.ts'
import type { EgressAnswer, EgressRequest } from '#/core/ports.ts'
import { countHops } from '#/http/cdn-loop.ts'
import { headerValue } from '#/http/header-list.ts'
import { answerLeader, isFresh, join, visible } from './answer-landed.ts'
import { answerStored, made, type Told } from './answer-stored.ts'
import type { Ask } from './ask.ts'
import type { Forwarded } from './cache-status.ts'
import { type CachedParts, countUse } from './cached-parts.ts'
import { type Choice, type Chosen, choose } from './choose.ts'
import { withCodings } from './coded-bodies.ts'
import { restOf } from './complete-part.ts'
import { type Basis, createFlight, type Flight, type Landed, toNext } from './flight.ts'
import { mayReuse } from './may-reuse.ts'
import { conditionalNames } from './preconditions.ts'
import { answerInSegments } from './segments.ts'
import type { StoredAnswer } from './store.ts'
import { selection } from './vary-key.ts'

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
  // A soft purge makes stale here; the tier that asks could not tell, and would take it for fresh.
  if (request.forTier === true && staleSince !== undefined && reuse.kind === 'while-revalidating')
    return fetchTogether(
      request,
      ask,
      { basis: best, forwarded: 'stale', vary: stored.head.vary, shareable: true },
      parts,
    )
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

/** Past all others: what they fetched is not for this client. The client's own conditions go along. */
async function fetchAlone(
  request: EgressRequest,
  ask: Ask,
  forwarded: Forwarded,
  parts: CachedParts,
): Promise<EgressAnswer> {
  const answer = await parts.next.fetch(toNext(request))
  const told: Told = { outcome: 'dynamic', forwarded, forwardedStatus: answer.status }
  return { ...answer, ...made(answer.status, visible(answer.headers, ask), answer.body, told) }
}
