/** One node's way to another: a session that is kept up, and replaced. */
import type { ClientHttp2Session } from 'node:http2'
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

/** One of the link's sessions: the last one takes calls, those before it finish what runs on them. */
interface Standing {
  readonly session: ClientHttp2Session
  /** When a new one takes its place, under the certificate that the other side has by then. */
  readonly replaceAt: EpochMs
  /** Begun on it so far. */
  streams: number
  running: number
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
  const sessions = new Set<Standing>()
  let current: Standing | undefined
  let attempting = false
  /** What was asked for while an attempt was under way, which may have begun too early for it. */
  let missed: { woken: boolean; renewed: boolean } = { woken: false, renewed: false }
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
    missed = { woken: false, renewed: false }
    clearTimeout(retry)
    try {
      adopt(await openSession(options))
      failures = 0
    } catch (error) {
      failures++
      if (current === undefined) become({ ...state, reachable: false, problem: toProblem(error) })
      tryLater()
    } finally {
      attempting = false
      if (missed.renewed || (missed.woken && current === undefined)) void attempt()
    }
  }
  function tryLater(): void {
    if (closed) return
    const pause = Math.min(limits.meshRetryMs, 50 * 2 ** Math.min(failures, 10))
    retry = setTimeout(attempt, pause * (0.75 + random() / 4))
    retry.unref()
  }

  function adopt(opened: OpenedSession): void {
    const { session, place, expiresAt } = opened
    if (closed) {
      session.destroy()
      return
    }
    const standing: Standing = { session, replaceAt: (clock() + expiresAt) / 2, streams: 0, running: 0 }
    const old = current
    current = standing
    sessions.add(standing)
    rtts.length = 0
    watchSession(opened, {
      limits,
      clock,
      onRoundTrip: (ms) => current === standing && measure(ms),
      onLeave: () => current === standing && void attempt(),
      onClose: (problem) => lose(standing, problem),
    })
    if (old !== undefined) closeIdle(old)
    compare(opened)
    const { problem: _, ...rest } = state
    become({ ...rest, reachable: true, place })
  }
  /** Not while a call runs: the word that it closes may overtake one that was just begun, which is refused then. */
  function closeIdle(standing: Standing): void {
    if (standing !== current && standing.running === 0) standing.session.close()
  }
  function lose(lost: Standing, problem: string): void {
    sessions.delete(lost)
    if (current !== lost) return
    current = undefined
    become({ ...state, reachable: false, problem })
    void attempt()
  }
  function measure(ms: Milliseconds): void {
    rtts.push(ms)
    if (rtts.length > rttSamples) rtts.shift()
    state = { ...state, rttMs: median(rtts) }
  }

  const comparing = setInterval(() => {
    if (current === undefined) return
    if (clock() >= current.replaceAt) void attempt()
    else greet(current.session, options).then(compare, () => {})
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
      if (current === undefined) await first
      const taken = current
      if (taken === undefined || taken.session.closed)
        throw new EdgeError('peer_away', `The node ${node} cannot be reached: ${state.problem ?? 'its link closes'}.`)
      if (counts[kind] >= caps[kind])
        throw new EdgeError('overloaded', `There are ${counts[kind]} ${kind} to the node ${node} already.`)
      counts[kind]++
      taken.running++
      if (++taken.streams === streamsPerSession) void attempt()
      const done = () => {
        counts[kind]--
        taken.running--
        closeIdle(taken)
      }
      return { session: taken.session, done }
    },
    wake() {
      missed.woken = true
      if (current === undefined) void attempt()
    },
    renew() {
      missed.renewed = true
      void attempt()
    },
    close() {
      closed = true
      clearTimeout(retry)
      clearInterval(comparing)
      current = undefined
      for (const { session } of sessions) session.destroy()
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
