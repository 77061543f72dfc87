/** One HTTP/2 session to another node: opened, greeted, and watched for silence. */
import { X509Certificate } from 'node:crypto'
import { type ClientHttp2Session, connect } from 'node:http2'
import { performance } from 'node:perf_hooks'
import type { TLSSocket } from 'node:tls'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { NodeId, Place } from '#/core/pops.ts'
import type { Clock, EpochMs, Milliseconds } from '#/core/units.ts'
import { helloPath } from './answer-calls.ts'
import { askOver } from './call-over.ts'
import { type DialSocket, dialNode } from './dial-node.ts'
import type { NodeEntry } from './directory.ts'
import { type Hello, readHello, skewOf } from './hello.ts'
import type { Identity } from './identity.ts'
import { placeOf } from './node-name.ts'
import { brokeOff } from './receive.ts'
import { type SessionLimits, sessionOptions } from './session-settings.ts'

export interface OpenSessionOptions {
  readonly entry: NodeEntry
  readonly identity: () => Identity
  readonly hello: () => Hello
  readonly limits: SessionLimits
  readonly clock: Clock
  readonly dial: DialSocket
}

export interface Greeting {
  readonly hello: Hello
  readonly skewMs: Milliseconds
}

export interface OpenedSession extends Greeting {
  readonly session: ClientHttp2Session
  readonly socket: TLSSocket
  /** Proven by the certificate. */
  readonly place: Place
  /** When the first of both certificates expires. */
  readonly expiresAt: EpochMs
}

/** Resolves once the other side has answered: in TLS 1.3 a client does not hear before that its certificate was refused. */
export async function openSession(options: OpenSessionOptions): Promise<OpenedSession> {
  const { entry, identity, limits, dial, clock } = options
  const own = identity()
  const socket = await dialNode({ entry, identity: own, limits, dial })
  const certificate = new X509Certificate(socket.getPeerCertificate().raw)
  const place = placeOf(certificate)!
  const expiresAt = Math.min(own.notAfter, certificate.validToDate.getTime())
  if (clock() >= expiresAt) {
    socket.destroy()
    throw expired(clock() >= own.notAfter ? 'this node' : `the node ${entry.node}`)
  }
  const session = connect('https://node', { ...sessionOptions(limits), createConnection: () => socket })
  let failure: Error | undefined
  session.on('error', (error) => {
    failure = error
  })
  session.on('connect', () => session.setLocalWindowSize(limits.meshSessionBytes))
  try {
    const greeting = await greet(session, options)
    if (session.destroyed) throw brokeOff(entry.node)
    return { session, socket, place, expiresAt, ...greeting }
  } catch (error) {
    session.destroy()
    throw failure ?? error
  }
}

/** `whose`: «this node», «the node NAME». */
export function expired(whose: string): EdgeError {
  return new EdgeError('peer_away', `The certificate of ${whose} has expired.`)
}

/** Compares clocks, and hears who runs at the other side now. */
export async function greet(session: ClientHttp2Session, options: OpenSessionOptions): Promise<Greeting> {
  const { entry, hello, limits, clock } = options
  const sentAt = clock()
  const { signal, end } = timeLimit(entry.node, limits.meshConnectMs)
  const link = { session, node: entry.node, limits, done: end }
  const answer = await askOver(link, helloPath, { head: { ...hello() }, signal })
  answer.body.resume()
  const theirs = readHello(answer.head)
  return { hello: theirs, skewMs: skewOf(theirs.now, sentAt, clock()) }
}

function timeLimit(node: NodeId, ms: Milliseconds): { readonly signal: AbortSignal; readonly end: () => void } {
  const controller = new AbortController()
  const late = () => controller.abort(new EdgeError('peer_away', `The node ${node} did not answer within ${ms} ms.`))
  const timer = setTimeout(late, ms)
  return { signal: controller.signal, end: () => clearTimeout(timer) }
}

export interface WatchOptions {
  readonly limits: Pick<Limits, 'meshPingMs' | 'meshSilenceMs'>
  readonly clock: Clock
  readonly onRoundTrip: (ms: Milliseconds) => void
  /** The other side takes no new calls on this session; those that run go on. */
  readonly onLeave: () => void
  /** Called once; the session is gone then. */
  readonly onClose: (problem: string) => void
}

/** Any byte is a sign of life: behind a large body an answer to a ping may wait for long. */
export function watchSession({ session, socket, expiresAt }: OpenedSession, options: WatchOptions): void {
  const { limits, clock, onRoundTrip, onLeave, onClose } = options
  let problem = 'the link was closed'
  let heard = socket.bytesRead
  let heardAt = performance.now()
  function ping(): void {
    if (session.destroyed) return
    session.ping((error, ms) => {
      if (error === null) onRoundTrip(ms)
    })
  }
  const timer = setInterval(() => {
    const now = performance.now()
    if (socket.bytesRead !== heard) heardAt = now
    heard = socket.bytesRead
    const silent = now - heardAt > limits.meshSilenceMs
    if (!silent && clock() < expiresAt) return ping()
    problem = silent ? `it has been silent for ${limits.meshSilenceMs} ms` : 'a certificate expired'
    session.destroy()
  }, limits.meshPingMs)
  timer.unref()
  ping()
  session.on('error', (error) => {
    problem = error.message
  })
  session.once('goaway', onLeave)
  session.once('close', () => {
    clearInterval(timer)
    onClose(problem)
  })
}
