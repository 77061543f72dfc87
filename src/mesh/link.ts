/** One node's way to another: a session that is kept up, and replaced. */
import { type ClientHttp2Session, constants } from 'node:http2'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Place } from '#/core/pops.ts'
import type { EpochMs, Milliseconds } from '#/core/units.ts'
import type { NodeEntry } from './directory.ts'
import { describeSkew, type Hello } from './hello.ts'
import {
  type Greeting,
  greet,
  type OpenedSession,
  type OpenSessionOptions,
  openSession,
  watchSession,
} from './open-session.ts'

export interface LinkOptions extends OpenSessionOptions {
  readonly limits: OpenSessionOptions['limits'] & Pick<Limits, 'meshRetryMs' | 'meshSkewMs' | 'meshHelloMs'>
  readonly random: () => number
  readonly onChange: () => void
  readonly log: (message: string, facts?: object) => void
}

export interface LinkState {
  readonly reachable: boolean
  readonly since: EpochMs
  /** Proven by the certificate on the last link. */
  readonly place?: Place
  readonly hello?: Hello
  readonly rttMs?: Milliseconds
  readonly skewMs?: Milliseconds
  /** Why it is not reachable. */
  readonly problem?: string
}

export interface Link {
  readonly entry: NodeEntry
  readonly state: LinkState
  /** The session for one more call; waits for the first attempt only. Rejects with `peer_away` or `overloaded`. */
  take(kind: 'calls' | 'tunnels'): Promise<{ readonly session: ClientHttp2Session; readonly done: () => void }>
  /** Tries now, when nothing stands: there is a sign that the other side is there. */
  wake(): void
  /** A new session under a new certificate; what runs on the old one finishes there. */
  renew(): void
  close(): void
}

const rttSamples = 15
/** Of the 2^30 that a client has on one connection (RFC 9113 §5.1.1). */
const streamsPerSession = 2 ** 29

export function openLink(options: LinkOptions): Link {
  const { entry, limits, clock, random, onChange, log } = options
  const { node } = entry
  const counts = { calls: 0, tunnels: 0 }
  const caps = { calls: limits.meshCalls, tunnels: limits.meshTunnels }
  const rtts: Milliseconds[] = []
  let state: LinkState = { reachable: false, since: clock(), problem: 'no link to it has stood yet' }
  let session: ClientHttp2Session | undefined
  let streams = 0
  let attempting = false
  let failures = 0
  let retry: NodeJS.Timeout | undefined
  let closed = false

  function become(next: Omit<LinkState, 'since'>): void {
    const turned = next.reachable !== state.reachable
    const told = turned || next.problem !== state.problem
    state = { ...next, since: turned ? clock() : state.since }
    if (told && !closed) onChange()
  }
  function compare({ skewMs, hello }: Greeting): void {
    if (Math.abs(skewMs) > limits.meshSkewMs && Math.abs(state.skewMs ?? 0) <= limits.meshSkewMs)
      log(`the clock of the node ${node} is ${describeSkew(skewMs)} the clock here`, { node, skewMs })
    state = { ...state, skewMs, hello }
  }

  async function attempt(): Promise<void> {
    if (attempting || closed) return
    attempting = true
    clearTimeout(retry)
    try {
      adopt(await openSession(options))
      failures = 0
    } catch (error) {
      failures++
      if (session === undefined) become({ ...state, reachable: false, problem: toProblem(error) })
      tryLater()
    } finally {
      attempting = false
    }
  }
  function tryLater(): void {
    if (closed) return
    const pause = Math.min(limits.meshRetryMs, 50 * 2 ** Math.min(failures, 10))
    retry = setTimeout(attempt, pause * (0.75 + random() / 4))
    retry.unref()
  }

  function adopt(opened: OpenedSession): void {
    if (closed) {
      opened.session.destroy(undefined, constants.NGHTTP2_CANCEL)
      return
    }
    const old = session
    session = opened.session
    streams = 0
    rtts.length = 0
    watchSession(opened, { limits, onRoundTrip: measure, onClose: (problem) => lose(opened.session, problem) })
    old?.close()
    compare(opened)
    const { problem: _, ...rest } = state
    become({ ...rest, reachable: true, place: opened.place })
  }
  function lose(lost: ClientHttp2Session, problem: string): void {
    if (session !== lost) return
    session = undefined
    become({ ...state, reachable: false, problem })
    void attempt()
  }
  function measure(ms: Milliseconds): void {
    rtts.push(ms)
    if (rtts.length > rttSamples) rtts.shift()
    state = { ...state, rttMs: median(rtts) }
  }

  const comparing = setInterval(() => {
    if (session !== undefined) greet(session, options).then(compare, () => {})
  }, limits.meshHelloMs)
  comparing.unref()
  let first: Promise<void> | undefined = attempt().finally(() => {
    first = undefined
  })

  return {
    entry,
    get state() {
      return state
    },
    async take(kind) {
      if (session === undefined) await first
      const taken = session
      if (taken === undefined || taken.closed)
        throw new EdgeError('peer_away', `The node ${node} cannot be reached: ${state.problem ?? 'its link closes'}.`)
      if (counts[kind] >= caps[kind])
        throw new EdgeError('overloaded', `There are ${counts[kind]} ${kind} to the node ${node} already.`)
      counts[kind]++
      if (++streams === streamsPerSession) void attempt()
      return { session: taken, done: () => void counts[kind]-- }
    },
    wake() {
      if (session === undefined) void attempt()
    },
    renew: () => void attempt(),
    close() {
      closed = true
      clearTimeout(retry)
      clearInterval(comparing)
      session?.destroy(undefined, constants.NGHTTP2_CANCEL)
      session = undefined
    },
  }
}

function toProblem(error: unknown): string {
  if (error instanceof EdgeError) return error.message.replace(/\.$/, '')
  const { code, message } = error as NodeJS.ErrnoException
  return code ?? message
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1]!
}
