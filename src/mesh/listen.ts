/** Where other nodes arrive: TLS with a certificate of the platform's authority, from a node that is in the directory. */
import { X509Certificate } from 'node:crypto'
import { constants, createSecureServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { NodeId, Place } from '#/core/pops.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { type AnswerCalls, helloPath, isTunnelPath } from './answer-calls.ts'
import { fingerprintOf } from './authority.ts'
import { requestBody } from './byte-stream.ts'
import type { MeshAddress } from './directory.ts'
import { packFailure, packHead } from './head-frame.ts'
import type { Hello } from './hello.ts'
import type { Identity } from './identity.ts'
import { placeOf } from './node-name.ts'
import { expired } from './open-session.ts'
import { receive } from './receive.ts'
import { type SessionLimits, sessionOptions, tlsOptions } from './session-settings.ts'

export interface ListenOptions {
  /** Port 0 lets the kernel choose. */
  readonly address: MeshAddress
  readonly identity: Identity
  readonly calls: AnswerCalls
  readonly hello: () => Hello
  /** Is this key that of the node in the directory? Asked for each new connection. */
  readonly isMember: (node: NodeId, fingerprint: string) => Promise<boolean>
  /** A node that was taken in has connected. */
  readonly onArrival: (node: NodeId) => void
  readonly limits: SessionLimits & Pick<Limits, 'meshSessions'>
  readonly clock: Clock
  readonly log: (message: string, facts?: object) => void
}

export interface MeshListener {
  readonly address: MeshAddress
  /** For connections from now on. */
  renew(identity: Identity): void
  /** Ends the sessions of nodes for which this answers false. */
  review(isMember: (node: NodeId, fingerprint: string) => boolean): void
  close(): Promise<void>
}

/** Another node, on one connection of its own. */
interface Guest {
  readonly session: ServerHttp2Session
  readonly place: Place
  readonly fingerprint: string
  /** Of its certificate: the session ends then, with all that runs on it. */
  readonly expiresAt: EpochMs
  /** Its first call was answered: it is in the directory. */
  admitted: boolean
  tunnels: number
}

/** Rejects with what the system says when the address cannot be had. */
export async function listenForNodes(options: ListenOptions): Promise<MeshListener> {
  const { address, identity, limits, log } = options
  const server = createSecureServer({
    ...sessionOptions(limits),
    ...tlsOptions(identity),
    handshakeTimeout: limits.meshConnectMs,
    noDelay: true,
  })
  server.maxConnections = limits.meshSessions
  const guests = new Set<Guest>()

  server.on('tlsClientError', (error, socket) => {
    log('a connection without a certificate of this platform was cut', { error: error.message })
    socket.destroy()
  })
  server.on('unknownProtocol', (socket) => socket.destroy())
  server.on('session', (session) => {
    const guest = meet(session)
    if (guest === undefined) return session.destroy()
    guests.add(guest)
    session.on('error', () => {})
    session.setLocalWindowSize(limits.meshSessionBytes)
    watchGuest(guest, options)
    session.once('close', () => guests.delete(guest))
    session.on('stream', (stream, fields) => takeStream(stream, fields[':path'] ?? '', guest, options))
  })

  // Those of strangers, too, and of nodes in the middle of their handshake: closing must not wait for these.
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(address.port, address.host, resolve)
  await promise
  server.off('error', reject)
  server.on('error', (error) => log('the mesh listener failed', { error: error.message }))
  return {
    address: { host: address.host, port: (server.address() as AddressInfo).port },
    renew: (renewed) => server.setSecureContext(tlsOptions(renewed)),
    review(isMember) {
      for (const guest of guests) if (!isMember(guest.place.node, guest.fingerprint)) guest.session.destroy()
    },
    async close() {
      const done = new Promise<void>((settle) => server.close(() => settle()))
      for (const guest of guests) guest.session.destroy()
      for (const socket of sockets) socket.destroy()
      await done
    },
  }
}

function meet(session: ServerHttp2Session): Guest | undefined {
  const socket = session.socket as TLSSocket
  const certificate = new X509Certificate(socket.getPeerCertificate().raw)
  const place = placeOf(certificate)
  if (place === undefined) return undefined
  return {
    session,
    place,
    fingerprint: fingerprintOf(certificate.publicKey),
    expiresAt: certificate.validToDate.getTime(),
    admitted: false,
    tunnels: 0,
  }
}

function takeStream(stream: ServerHttp2Stream, path: string, guest: Guest, options: ListenOptions): void {
  // Also one that is refused throws at its owner as it closes.
  stream.on('error', () => {})
  const tunnel = isTunnelPath(path)
  if (path === helloPath) answerHello(stream, guest, options)
  else if (!guest.admitted || (tunnel && guest.tunnels >= options.limits.meshTunnels))
    stream.close(constants.NGHTTP2_REFUSED_STREAM)
  else {
    if (tunnel) {
      guest.tunnels++
      stream.once('close', () => guest.tunnels--)
    }
    options.calls.answer(stream, path, guest.place)
  }
}

function answerHello(stream: ServerHttp2Stream, guest: Guest, options: ListenOptions): void {
  const { isMember, onArrival, limits, clock, hello } = options
  const { node } = guest.place
  const finish = (frame: Buffer, status: number) => {
    if (stream.closed) return
    stream.respond({ ':status': status })
    stream.end(frame)
  }
  const refuse = (error: unknown) => {
    const failure = error instanceof EdgeError ? error : new EdgeError('internal', String(error))
    finish(packFailure(failure, limits.meshHeadBytes), 500)
    guest.session.close()
  }
  async function admit(): Promise<void> {
    if (clock() >= guest.expiresAt) throw expired(`the node ${node}`)
    if (!(await isMember(node, guest.fingerprint)))
      throw new EdgeError(
        'peer_away',
        `The node ${node} is not part of this platform, or its name has another key here.`,
      )
    const arrived = !guest.admitted
    guest.admitted = true
    finish(packHead({ ...hello() }, limits.meshHeadBytes), 200)
    if (arrived) onArrival(node)
  }
  const body = requestBody(stream)
  receive(stream, body, {
    other: node,
    headBytes: limits.meshHeadBytes,
    onHead: () => {
      body.resume()
      admit().catch(refuse)
    },
    onFailure: refuse,
  })
}

/** The other side pings; when not even that comes, what it asked for is given up. Who says no hello is no guest for long. */
function watchGuest(guest: Guest, { limits, clock }: ListenOptions): void {
  const { session, expiresAt } = guest
  const socket = session.socket as TLSSocket
  let heard = socket.bytesRead
  let silentFor = 0
  let strangerFor = 0
  const timer = setInterval(() => {
    // Its socket is taken from a session that ends before that says `close`.
    if (session.destroyed) return
    const now = socket.bytesRead
    silentFor = now === heard ? silentFor + limits.meshPingMs : 0
    heard = now
    strangerFor = guest.admitted ? 0 : strangerFor + limits.meshPingMs
    if (Math.max(silentFor, strangerFor) > limits.meshSilenceMs || clock() >= expiresAt) session.destroy()
  }, limits.meshPingMs)
  timer.unref()
  session.once('close', () => clearInterval(timer))
}
