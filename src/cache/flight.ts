/**
 * One request to the origin on behalf of all who ask for the same at the same time, and what became of it.
 */
import { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Egress, EgressAnswer, EgressRequest } from '#/core/ports.ts'
import type { TierAnswer } from '#/core/tiers.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { headerValue } from '#/http/header-list.ts'
import type { Ask } from './ask.ts'
import type { Forwarded } from './cache-status.ts'
import { bodyIdOf } from './coded-bodies.ts'
import { completed, restOf } from './complete-part.ts'
import { createFanOut, type FanOut } from './fan-out.ts'
import { isServerFailure, mayStandIn, policyOf } from './may-reuse.ts'
import { mayStore, type StoredPolicy, type StoreRefusal, type Storing } from './may-store.ts'
import { originFields } from './origin-fields.ts'
import type { Purges } from './purges.ts'
import type { LargeObjects } from './segments.ts'
import type { SoloKeys } from './solo-keys.ts'
import type { CacheStore, StoredAnswer, StoredHead } from './store.ts'
import { tagsOf, updatedFields } from './stored-fields.ts'

export interface FlightParts {
  readonly next: Pick<Egress, 'fetch'>
  readonly store: CacheStore
  readonly purges: Purges
  readonly solo: SoloKeys
  readonly large: LargeObjects
  readonly limits: Limits
  readonly clock: Clock
  readonly arriving: Set<Arriving>
}

/** What the origin's answer came to. */
export type Landed =
  /** For everybody whose request selects it. */
  | {
      readonly kind: 'shared'
      readonly head: StoredHead
      readonly fan: FanOut
      readonly declared: number | undefined
      readonly contentRange: string | undefined
      /** Fresh on arrival: requests that came meanwhile may have it too. */
      readonly forOthers: boolean
      readonly stored: boolean
      readonly answer: EgressAnswer
    }
  /** What is stored stands: the origin confirmed it, or could not answer. */
  | {
      readonly kind: 'kept'
      readonly stored: StoredAnswer
      readonly status: number | undefined
      readonly staleSince: EpochMs | undefined
      readonly why: 'validated' | 'origin-error' | 'origin-down'
      readonly tier?: TierAnswer | undefined
    }
  /** For the one whose request it was. */
  | { readonly kind: 'alone'; readonly answer: EgressAnswer; readonly why: StoreRefusal | 'stale' }
  | { readonly kind: 'failed'; readonly error: unknown }

export interface Basis {
  readonly stored: StoredAnswer
  readonly staleSince: EpochMs | undefined
}

/** Something that may be stored when it has arrived; unsafe requests and purges look for it. */
export interface Arriving {
  /** Primary key. */
  readonly key: string
  /** Of the last purge before it began. */
  readonly sequence: number
  /** Nothing of it may be stored or given to those who come now: what it fetches was changed meanwhile. */
  doom(): void
  readonly doomed: boolean
}

export interface Flight extends Arriving {
  readonly forwarded: Forwarded
  /** Never rejects. */
  readonly landed: Promise<Landed>
  /** Everything is over, the body too. */
  readonly over: Promise<void>
  /** Whoever waits counts; when nobody does any more, the fetch has a while to finish. */
  wait(onInformational: EgressRequest['onInformational']): void
  leave(): void
}

export interface FlightPlan {
  readonly key: string
  readonly ask: Ask
  readonly request: EgressRequest
  readonly basis: Basis | undefined
  /** Stored already: only the rest of it is asked for. */
  readonly beginning: StoredAnswer | undefined
  readonly forwarded: Forwarded
  /** Nobody waits for it: the stored answer has been given already. */
  readonly background: boolean
}

export function createFlight(plan: FlightPlan, parts: FlightParts): Flight {
  const { ask, request, basis } = plan
  const { limits, clock, purges } = parts
  const controller = new AbortController()
  const sequence = purges.sequence
  const requestedAt = clock()
  const informed: NonNullable<EgressRequest['onInformational']>[] = []
  const over = Promise.withResolvers<void>()
  let waiting = 0
  let deserted: NodeJS.Timeout | undefined
  let doomed = false
  let hasLanded = false
  let fan: FanOut | undefined

  const validate = basis === undefined ? undefined : policyOf(basis.stored.head)
  const rest = plan.beginning && restOf(plan.beginning)
  const outgoing: EgressRequest = {
    ...toNext(request),
    method: 'GET',
    headers: originFields(request.headers, {
      keyed: ask.policy.key?.headers,
      written: ask.wish.writtenFields,
      fromClient: 'site' in request.by,
      validate,
      ...(rest ? { range: rest } : ask.ranges !== undefined && { range: null }),
    }),
    signal: controller.signal,
    onInformational: (status, headers) => {
      for (const inform of informed) inform(status, headers)
    },
  }

  async function fly(): Promise<Landed> {
    let answer: EgressAnswer
    try {
      answer = await fetchWhole()
    } catch (error) {
      over.resolve()
      return standIn(undefined) ?? { kind: 'failed', error }
    }
    try {
      return await land(answer)
    } catch (error) {
      dropBody(answer)
      over.resolve()
      return { kind: 'failed', error }
    }
  }

  /** Where the rest of something was asked for and something else came, the whole is asked for. */
  async function fetchWhole(): Promise<EgressAnswer> {
    const answer = await parts.next.fetch(outgoing)
    if (rest === undefined || answer.status !== 206) return answer
    const whole = completed(plan.beginning!, answer)
    if (whole !== undefined) return whole
    dropBody(answer)
    return parts.next.fetch({ ...outgoing, headers: withoutRange(outgoing.headers) })
  }

  function standIn(status: number | undefined): Landed | undefined {
    if (basis === undefined || doomed || purges.of(basis.stored.head)?.hard === true) return undefined
    const failure = { answered: status !== undefined, downMs: limits.cacheStaleIfDownMs }
    if (!mayStandIn(basis.stored.head, clock(), basis.staleSince, failure)) return undefined
    return { kind: 'kept', ...basis, status, why: status === undefined ? 'origin-down' : 'origin-error' }
  }

  async function land(answer: EgressAnswer): Promise<Landed> {
    const receivedAt = clock()
    if (basis !== undefined && answer.status === 304) {
      const kept = await refresh(answer, basis.stored, receivedAt)
      over.resolve()
      return kept
    }
    if (answer.stale === true) {
      const kept = standIn(undefined)
      if (kept !== undefined) dropBody(answer)
      over.resolve()
      return kept ?? { kind: 'alone', answer, why: 'stale' }
    }
    if (isServerFailure(answer.status)) {
      const kept = standIn(answer.status)
      if (kept !== undefined) {
        dropBody(answer)
        over.resolve()
        return kept
      }
    }
    const storing = mayStore(
      { status: answer.status, headers: answer.headers, requestedAt, receivedAt, withheld: answer.withheld },
      ask,
    )
    if (!storing.store || doomed) {
      // What the origin says now stands in the stored answer's stead, unless it says that it cannot say.
      if (basis !== undefined && answer.status < 500) parts.store.remove(basis.stored)
      if (tellsOfAll(answer.status) && !doomed) parts.solo.add(plan.key)
      over.resolve()
      return { kind: 'alone', answer, why: storing.store ? 'no-store' : storing.why }
    }
    return share(answer, storing, receivedAt)
  }

  function share(answer: EgressAnswer, storing: Extract<Storing, { store: true }>, receivedAt: EpochMs): Landed {
    const head = headOf(answer, storing, receivedAt)
    const forOthers = storing.policy.lifetimeMs > storing.policy.initialAgeMs && !storing.policy.validateAlways
    if (forOthers) parts.solo.delete(plan.key)
    else parts.solo.add(plan.key)
    const field = headerValue(answer.headers, 'content-length')
    const declared = field !== undefined && /^\d{1,15}$/.test(field) ? Number(field) : undefined
    noteLarge(head, declared, headerValue(answer.headers, 'accept-ranges'))
    const writer = fits(declared) ? parts.store.open(head, declared) : undefined
    const { body } = answer
    fan = createFanOut({
      source: body instanceof Readable ? body : Readable.from(body === null ? [] : [body], { objectMode: false }),
      writer,
      keepBytes: limits.cacheFollowBytes,
      storeBytes: limits.cacheObjectBytes,
      unread: waiting === 0,
      declared: body instanceof Readable ? declared : undefined,
      // What was fetched before a purge must not take the place of what was fetched after it.
      mayFinish: () => !doomed && purges.of(head)?.hard !== true,
      onDeserted: (received) => (worthFinishing(declared, received) ? startDeserted() : 'end'),
    })
    void fan.done.then((stored) => {
      clearTimeout(deserted)
      if (stored !== undefined && doomed) parts.store.remove(stored)
      over.resolve()
    })
    if (waiting === 0 && (writer === undefined || !worthFinishing(declared, 0))) fan.giveUp()
    const contentRange = storing.partial === undefined ? undefined : headerValue(answer.headers, 'content-range')
    return { kind: 'shared', head, fan, declared, contentRange, forOthers, stored: writer !== undefined, answer }
  }

  /** From the next request on it is fetched in segments: one of which ranges are asked, or that is too large to keep. */
  function noteLarge(head: StoredHead, declared: number | undefined, ranges: string | undefined): void {
    const { etag } = policyOf(head)
    if (etag === undefined || !etag.startsWith('"') || head.vary.length > 0 || ask.key.includes('\nsegment ')) return
    const { partial } = head
    const whole = ranges?.toLowerCase() === 'bytes' && !fits(declared) ? declared : undefined
    const total = partial === undefined ? whole : partial.total
    if (total !== undefined && total > limits.cacheSegmentFromBytes) parts.large.set(ask.key, { total, etag })
  }

  function headOf(answer: EgressAnswer, storing: Extract<Storing, { store: true }>, receivedAt: EpochMs): StoredHead {
    const { partial, policy } = storing
    return {
      key: ask.key,
      variant: policy.selects,
      vary: storing.vary,
      url: ask.url,
      status: answer.status,
      headers: storing.headers,
      tags: tagsOf(answer.headers, ask.wish.tags ?? [], { count: limits.cacheTags }),
      scope: ask.scope,
      requestedAt,
      receivedAt,
      sequence,
      policy: policy as unknown as Record<string, unknown>,
      ...(partial === undefined ? {} : { partial }),
      ...(ask.wish.memoryOnly === true ? { memoryOnly: true as const } : {}),
    }
  }

  /** RFC 9111 §4.3.4: the stored body under the stored fields as the 304 changes them. */
  async function refresh(answer: EgressAnswer, stored: StoredAnswer, receivedAt: EpochMs): Promise<Landed> {
    const { head } = stored
    const before = policyOf(head)
    const headers = updatedFields([...head.headers, ...(before.surrogate ?? [])], answer.headers)
    const storing = mayStore({ status: head.status, headers, requestedAt, receivedAt }, ask)
    if (!storing.store || doomed) {
      parts.store.remove(stored)
      return {
        kind: 'alone',
        why: storing.store ? 'no-store' : storing.why,
        answer: {
          ...{ status: head.status, headers, body: stored.bytes() ?? stored.stream() },
          ...(answer.tier && { tier: answer.tier }),
        },
      }
    }
    const policy: StoredPolicy = { ...storing.policy, bodyId: bodyIdOf(stored) }
    const updated: StoredHead = {
      ...headOf({ ...answer, status: head.status, headers }, { ...storing, policy }, receivedAt),
      variant: head.variant,
    }
    const kept = (await parts.store.refresh(stored, updated)) ?? withHead(stored, updated)
    if (policy.validateAlways || policy.lifetimeMs <= policy.initialAgeMs) parts.solo.add(plan.key)
    return { kind: 'kept', stored: kept, status: 304, staleSince: undefined, why: 'validated', tier: answer.tier }
  }

  function fits(declared: number | undefined): boolean {
    return declared === undefined || declared <= limits.cacheObjectBytes
  }

  function worthFinishing(declared: number | undefined, received: number): boolean {
    if (plan.background) return true
    const left = declared === undefined ? received : declared - received
    return left <= limits.cacheFinishBytes
  }

  function startDeserted(): 'go-on' {
    if (plan.background) return 'go-on'
    deserted ??= setTimeout(() => (fan === undefined ? controller.abort(gone()) : fan.giveUp()), limits.cacheFinishMs)
    deserted.unref()
    return 'go-on'
  }

  const landed = fly().then((outcome) => {
    hasLanded = true
    // Nobody is there any more to read what is for one alone.
    if (outcome.kind === 'alone' && waiting === 0) dropBody(outcome.answer)
    return outcome
  })

  return {
    key: ask.key,
    sequence,
    forwarded: plan.forwarded,
    landed,
    over: over.promise,
    wait(onInformational) {
      waiting++
      clearTimeout(deserted)
      deserted = undefined
      if (onInformational !== undefined) informed.push(onInformational)
    },
    leave() {
      waiting--
      if (waiting === 0 && !hasLanded) startDeserted()
    },
    doom() {
      doomed = true
      fan?.dropWriter()
    },
    get doomed() {
      return doomed
    },
  }
}

/** How the answer is to be kept is said to nobody but the tier above. */
export function toNext(request: EgressRequest): EgressRequest {
  if (request.shield !== undefined) return request
  const { cache: _, ...plain } = request
  return plain
}

/** Not an error that this one request may have brought about: others may well get an answer that can be shared. */
function tellsOfAll(status: number): boolean {
  return status < 400 || status === 401 || status === 403 || status === 404 || status === 410
}

function withoutRange(headers: HeaderList): HeaderList {
  return headers.filter((_, index) => !/^(?:if-)?range$/i.test(headers[index - (index % 2)]!))
}

function gone(): EdgeError {
  return new EdgeError('client_gone', 'Everybody who waited for this answer left.')
}

/** Stored no longer, but in hand: good for the requests that waited. */
function withHead(stored: StoredAnswer, head: StoredHead): StoredAnswer {
  return { head, bodyBytes: stored.bodyBytes, bytes: () => stored.bytes(), stream: (range) => stored.stream(range) }
}

export function dropBody({ body }: { readonly body: EgressAnswer['body'] }): void {
  if (body instanceof Readable) body.on('error', () => {}).destroy()
}
