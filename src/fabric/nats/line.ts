/**
 * The line to JetStream: whether it answers, and how one question or write is asked again until it is answered, refused
 * or late. A write carries an id by which JetStream knows it again, so that a second try never writes twice.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { headers as createHeaders, createInbox, type NatsConnection, NoRespondersError } from '@nats-io/transport-node'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import { type Acknowledgement, type ApiAnswer, meaningOf } from './answers.ts'
import { holdLateErrors, isRefusedSubject } from './connect.ts'
import { goHome } from './go-home.ts'
import { type Elsewhere, lookElsewhere } from './look-elsewhere.ts'
import { headerNames, readHeaders, type StoredMessage } from './message.ts'
import { awayError, describe, JetStreamRefusal, outcomeOf, refusedRights } from './refusals.ts'
import { createSigns } from './signs.ts'
import type { StreamInfo } from './streams.ts'

export interface WriteOptions {
  /** Sequence of the subject's last message, 0 for none. */
  readonly expect?: number | undefined
  readonly headers?: Readonly<Record<string, string>>
}

export interface Line {
  readonly state: 'here' | 'away'
  /** Names this opening of the fabric among all. */
  readonly id: string
  readonly connection: NatsConnection
  /** A subject that only this user hears. */
  newInbox(): string
  /** Answers the sequence, or `undefined` when `expect` did not hold. */
  write(stream: string, subject: string, data: Uint8Array, options?: WriteOptions): Promise<number | undefined>
  /** Calls the JetStream API; `undefined` says that there is no such stream or message. */
  call<Result = ApiAnswer>(name: string, body?: object): Promise<Result | undefined>
  readLast(stream: string, subject: string): Promise<StoredMessage | undefined>
  /** The highest sequence of the stream that this node heard of. */
  seen(stream: string): number
  saw(stream: string, sequence: number): void
  onState(listener: (state: 'here' | 'away') => void): () => void
  onReconnect(listener: () => void): () => void
  close(): Promise<void>
}

export interface LineOptions {
  readonly connection: NatsConnection
  readonly elsewhere: Elsewhere
  readonly inboxPrefix?: string | undefined
  /** `$JS.API`, or `$JS.DOMAIN.API` through a leaf node. */
  readonly api: string
  /** Unique in the platform. */
  readonly id: string
  /** Written to learn whether writing works, beside other writes. */
  readonly sign: { readonly stream: string; readonly subject: string }
  readonly limits: Limits
  readonly report: (error: unknown) => void
}

type Reply = { readonly kind: 'answer'; readonly answer: ApiAnswer } | { readonly kind: 'none' | 'silence' }

/** Between signs while nothing is answered. */
const signPauseMs = 250
/** Far above what the ways to two servers differ by. */
const moveGraceMs = 500

export function createLine({ connection, elsewhere, inboxPrefix, api, id, sign, limits, report }: LineOptions): Line {
  const seen = new Map<string, number>()
  const stateListeners = new Set<(state: 'here' | 'away') => void>()
  const reconnectListeners = new Set<() => void>()
  let state: 'here' | 'away' = 'here'
  let connected = true
  let closed = false
  /** Of tries that wait for an answer. */
  const givingUp = new Set<() => void>()
  let proving: Promise<void> | undefined
  /** A move to another server that nobody is to notice: what is asked meanwhile waits until it is over. */
  let moving: PromiseWithResolvers<void> | undefined
  let isLeaving = false
  let lastAnswered = performance.now()
  let counter = 0
  let pendingBytes = 0
  const newId = () => `${id}-${counter++}`
  const signs = createSigns(newId)

  function tell(next: 'here' | 'away'): void {
    if (state === next || closed) return
    state = next
    // What was asked while nobody led was not heard; what was heard is known again.
    if (next === 'here') giveUpAll()
    for (const listener of stateListeners) {
      try {
        listener(next)
      } catch (error) {
        report(error)
      }
    }
  }

  function giveUpAll(): void {
    for (const giveUp of [...givingUp]) giveUp()
  }

  async function followConnection(): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') {
        connected = false
        giveUpAll()
        if (!isLeaving) tell('away')
      } else if (status.type === 'reconnect') {
        connected = true
        moving?.resolve()
        holdLateErrors(connection)
        for (const listener of reconnectListeners) listener()
        void prove()
      }
    }
  }

  /** One try. `silence`: it may have been done; `none`: it was not. */
  async function ask(subject: string, data: Uint8Array | string, fields: Record<string, string>): Promise<Reply> {
    await moving?.promise
    if (!connected || connection.isClosed()) return { kind: 'none' }
    const headers = createHeaders()
    for (const [name, value] of Object.entries(fields)) headers.set(name, value)
    const asked = connection.request(subject, data, { timeout: limits.natsAttemptMs, headers })
    const givenUp = Promise.withResolvers<undefined>()
    const giveUp = () => givenUp.resolve(undefined)
    givingUp.add(giveUp)
    try {
      const message = await Promise.race([asked, givenUp.promise])
      if (message !== undefined) return { kind: 'answer', answer: message.json<ApiAnswer>() }
      asked.catch(() => {})
      return { kind: 'silence' }
    } catch (error) {
      if (isRefusedSubject(error)) throw refusedRights(subject, error)
      if (error instanceof NoRespondersError || (error as Error).cause instanceof NoRespondersError)
        return { kind: 'none' }
      return { kind: 'silence' }
    } finally {
      givingUp.delete(giveUp)
    }
  }

  /** Writes signs until one is acknowledged; the first that is not makes the line `away`. */
  function prove(): Promise<void> {
    proving ??= proveNow().finally(() => {
      proving = undefined
    })
    return proving
  }

  /** One sign follows another without waiting: the first that a new leader hears is answered at once. */
  async function proveNow(): Promise<void> {
    const proven = Promise.withResolvers<void>()
    let isProven = false
    async function sendSign(): Promise<void> {
      const works = await isWritten()
      if (isProven) return
      isProven = works
      if (works) proven.resolve()
      else tell('away')
    }
    const began = performance.now()
    let isLooking = false
    signs.renew()
    while (!closed) {
      void sendSign()
      await Promise.race([proven.promise, wait(signPauseMs, undefined, { ref: false })])
      if (isProven) return tell('here')
      if (isLooking || !connected || performance.now() - began < limits.natsAwayMoveMs) continue
      isLooking = true
      void moveWhere(() => !isProven)
        .catch(report)
        .finally(() => {
          isLooking = false
        })
    }
  }

  /** The server may be cut off from the others, which then know better. */
  async function moveWhere(isWanted: () => boolean): Promise<void> {
    const goesOn = () => isWanted() && connected && !closed
    const found = await lookElsewhere(elsewhere, (other) => takesSigns(other), goesOn)
    if (found === undefined) return
    // A leader that was just elected answers here too.
    await wait(moveGraceMs, undefined, { ref: false })
    if (goesOn()) await elsewhere.moveTo(found)
  }

  const isCalm = () => state === 'here' && connected && proving === undefined && !closed

  async function moveCalmly(listen: string): Promise<void> {
    const move = Promise.withResolvers<void>()
    moving = move
    const late = wait(limits.natsConnectMs, undefined, { ref: false })
    try {
      // What is under way is answered first, so that nobody has to ask twice.
      for (const until = performance.now() + limits.natsAttemptMs; givingUp.size > 0; await wait(5))
        if (performance.now() > until) return
      if (!isCalm()) return
      isLeaving = true
      await elsewhere.moveTo(listen)
      await Promise.race([move.promise, late])
    } finally {
      isLeaving = false
      moving = undefined
      move.resolve()
      if (!connected) tell('away')
    }
  }

  /** Through it writes are acknowledged, it is asked what is asked here, and its own copy is current. */
  async function isSound(other: NatsConnection): Promise<boolean> {
    if (!(await takesSigns(other, newId()))) return false
    const question = `${api}.STREAM.INFO.${sign.stream}`
    const { error, cluster } = (await other.request(question, '', { timeout: limits.natsAttemptMs })).json<StreamInfo>()
    const own = cluster?.replicas?.find(({ name }) => name === other.info?.server_name)
    return error === undefined && (own === undefined || (own.current === true && own.offline !== true))
  }

  async function takesSigns(other: NatsConnection, sent = signs.id): Promise<boolean> {
    const headers = createHeaders()
    headers.set(headerNames.id, sent)
    try {
      const message = await other.request(sign.subject, '', { timeout: limits.natsAttemptMs, headers })
      return signs.read(message.json<Acknowledgement>(), sent) === 'works'
    } catch {
      return false
    }
  }

  /** A full disk or missing rights answer too: writes then say so themselves. */
  async function isWritten(): Promise<boolean> {
    const sent = signs.id
    try {
      const reply = await ask(sign.subject, '', { [headerNames.id]: sent })
      if (reply.kind !== 'answer') return false
      const said = signs.read(reply.answer, sent)
      if (said !== 'works') return said === 'ask again' && isWritten()
      answered(sign.stream, reply.answer)
    } catch {
      // Refused.
    }
    return true
  }

  function answered(stream: string, answer: Acknowledgement): void {
    lastAnswered = performance.now()
    if (answer.seq !== undefined) saw(stream, answer.seq)
  }

  function saw(stream: string, sequence: number): void {
    if (sequence > (seen.get(stream) ?? 0)) seen.set(stream, sequence)
  }

  async function write(
    stream: string,
    subject: string,
    data: Uint8Array,
    { expect, headers = {} }: WriteOptions = {},
  ): Promise<number | undefined> {
    refuseWhenAway('Nothing was written.')
    if (pendingBytes + data.length > limits.fabricQueueBytes)
      throw new EdgeError('overloaded', 'Too many writes wait for NATS.')
    const fields = { ...headers, [headerNames.id]: newId() }
    pendingBytes += data.length
    try {
      return await writeUntilAnswered(stream, subject, data, fields, expect)
    } finally {
      pendingBytes -= data.length
    }
  }

  async function writeUntilAnswered(
    stream: string,
    subject: string,
    data: Uint8Array,
    fields: Record<string, string>,
    expect: number | undefined,
  ): Promise<number | undefined> {
    const until = performance.now() + limits.natsWriteMs
    const all = expect === undefined ? fields : { ...fields, [headerNames.expected]: String(expect) }
    let doubtful = false
    for (let pause = 50; ; pause = Math.min(pause * 2, 500)) {
      const reply = await ask(subject, data, all)
      if (reply.kind === 'answer') {
        const meaning = meaningOf(reply.answer)
        if (meaning.kind === 'done') {
          answered(stream, reply.answer)
          return (reply.answer as Acknowledgement).seq
        }
        if (meaning.kind === 'mismatch')
          return doubtful ? findOwn(stream, subject, fields[headerNames.id]!, expect ?? 0) : undefined
        if (meaning.kind === 'full') throw new EdgeError('storage_full', `NATS has no room: ${meaning.why}.`)
        if (meaning.kind !== 'unavailable') throw new Error(`NATS refused a write to ${subject}: ${describe(meaning)}`)
      }
      // A leader that steps down refuses what its successor may have in its log already.
      doubtful ||= reply.kind !== 'none'
      void prove()
      if (performance.now() >= until || closed) throw awayError(outcomeOf(doubtful))
      await wait(pause)
    }
  }

  /**
   * A try stayed unanswered and the next one met another last sequence: whose? The message that follows the expected one
   * is the only write that can have been ours.
   */
  async function findOwn(stream: string, subject: string, own: string, expect: number): Promise<number | undefined> {
    const found = await read(stream, { seq: expect + 1, next_by_subj: subject })
    if (found?.headers.get(headerNames.id) === own) return found.sequence
    // Whoever wrote on the same expectation was first, so ours was not; otherwise what was first may have gone by now.
    if (found?.headers.get(headerNames.expected) === String(expect)) return undefined
    throw awayError(outcomeOf(true))
  }

  async function call<Result = ApiAnswer>(name: string, body?: object): Promise<Result | undefined> {
    refuseWhenAway('Nothing was read.')
    const until = performance.now() + limits.natsReadMs
    for (let pause = 50; ; pause = Math.min(pause * 2, 500)) {
      const reply = await ask(`${api}.${name}`, body === undefined ? '' : JSON.stringify(body), {})
      if (reply.kind === 'answer') {
        lastAnswered = performance.now()
        const meaning = meaningOf(reply.answer)
        if (meaning.kind === 'done') return reply.answer as Result
        if (meaning.kind === 'absent') return undefined
        if (meaning.kind === 'full') throw new EdgeError('storage_full', `NATS has no room: ${meaning.why}.`)
        if (meaning.kind !== 'unavailable')
          throw new JetStreamRefusal(name, meaning.kind === 'refused' ? meaning.code : 0, describe(meaning))
      }
      void prove()
      if (performance.now() >= until || closed) throw awayError('Nothing was read.')
      await wait(pause)
    }
  }

  async function read(stream: string, which: object): Promise<StoredMessage | undefined> {
    const answer = await call<GetAnswer>(`STREAM.MSG.GET.${stream}`, which)
    if (answer?.message === undefined) return undefined
    const { subject, seq, hdrs, data = '', time } = answer.message
    saw(stream, seq)
    return {
      subject,
      sequence: seq,
      time: Date.parse(time),
      headers: readHeaders(hdrs),
      data: Buffer.from(data, 'base64'),
    }
  }

  function refuseWhenAway(outcome: string): void {
    if (closed) throw awayError('The fabric is closed.')
    if (state === 'away') throw awayError(outcome)
  }

  const idle = setInterval(() => {
    if (performance.now() - lastAnswered >= limits.natsProbeMs) void prove()
  }, limits.natsProbeMs)
  idle.unref()
  const home = goHome({ elsewhere, isSound, isCalm, moveTo: moveCalmly, limits, report })
  void followConnection().catch(report)

  return {
    get state() {
      return state
    },
    id,
    connection,
    newInbox: () => createInbox(inboxPrefix),
    write,
    call,
    readLast: (stream, subject) => read(stream, { last_by_subj: subject }),
    seen: (stream) => seen.get(stream) ?? 0,
    saw,
    onState: (listener) => listen(stateListeners, listener),
    onReconnect: (listener) => listen(reconnectListeners, listener),
    async close() {
      closed = true
      clearInterval(idle)
      home.close()
      await connection.close()
    },
  }
}

interface GetAnswer extends ApiAnswer {
  readonly message?: {
    readonly subject: string
    readonly seq: number
    readonly hdrs?: string
    readonly data?: string
    readonly time: string
  }
}

function listen<Listener>(all: Set<Listener>, listener: Listener): () => void {
  all.add(listener)
  return () => void all.delete(listener)
}
