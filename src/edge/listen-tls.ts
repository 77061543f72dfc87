/**
 * The TLS port: certificates by server name, HTTP/2 or HTTP/1 by ALPN (RFC 7301), resumption by tickets. The ClientHello is
 * read before TLS gets it, for programs that tell clients apart by it.
 */
import { hkdfSync } from 'node:crypto'
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer, type TLSSocket, type TlsOptions, type Server as TlsServer } from 'node:tls'
import type { Clock } from '#/core/units.ts'
import { letGo } from './join-websocket.ts'
import type { ListenOptions } from './listen-cleartext.ts'
import { peekHello } from './peek-hello.ts'
import { readInPlace } from './read-in-place.ts'
import { type SecureContexts, sessionIdContext, tlsOptions } from './secure-contexts.ts'
import type { PassedClient, TlsPassage } from './tls-passage.ts'

export interface ListenTlsOptions extends ListenOptions {
  readonly contexts: SecureContexts
  readonly clock: Clock
  /** 32 bytes, the same on all points of presence whose tickets should be good at each other's. */
  readonly ticketSecret: Uint8Array
  /** Told the name in each ClientHello, before the handshake is done. */
  onClientHello(serverName: string): void
  onRefused(): void
  /** Passes connections on that belong elsewhere, and brings those of other nodes. */
  readonly passage?: TlsPassage | undefined
}

/** Name whose certificate is shown to clients that name none. */
const defaultName = 'localhost'

/** Not yet listening. */
export async function createTlsListener(options: ListenTlsOptions): Promise<Server> {
  const { connections, limits, clock } = options
  const hellos = new Map<string, Uint8Array>()
  const epoch = () => period(clock(), limits.tlsTicketKeySeconds)
  const tls = createServer(serverOptions(options, epoch()))
  tls.on('tlsClientError', (_error, socket) => {
    options.onRefused()
    socket.destroy()
  })
  tls.on('secureConnection', (socket) => dispatch(options, socket, hellos.get(nameOf(socket))))
  await setDefault(tls, options, epoch())
  const server = createTcpServer({ noDelay: true, allowHalfOpen: false, pauseOnConnect: true }, (accepted) => {
    const socket = readInPlace(accepted)
    if (connections.admit(socket)) peek(options, socket, hellos, () => tls.emit('connection', socket))
  })
  const stop = rotateTickets(tls, options)
  server.on('close', stop)
  const unserve = options.passage?.serve((stream, client) => adopt(options, stream, client, epoch()))
  if (unserve !== undefined) server.on('close', unserve)
  return server
}

function serverOptions(options: ListenTlsOptions, epoch: number): TlsOptions {
  const { limits, contexts, ticketSecret } = options
  return {
    ...tlsOptions,
    sessionIdContext,
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: limits.headersTimeoutMs,
    ticketKeys: ticketKeys(ticketSecret, epoch),
    noDelay: true,
    allowHalfOpen: false,
    SNICallback(serverName, done) {
      hear(options, serverName)
      // Node ends the process when this function throws; nothing in it may.
      contexts.forName(serverName.toLowerCase()).then(
        ({ context }) => done(null, context),
        (reason) => done(reason instanceof Error ? reason : new Error(String(reason))),
      )
    },
  }
}

/** A server for one connection: on a stream that is no socket, TLS does not tell whose connection it is. */
function adopt(options: ListenTlsOptions, stream: Duplex, client: PassedClient, epoch: number): void {
  if (!options.connections.admit(stream, client.address)) return
  const tls = createServer(serverOptions(options, epoch))
  tls.on('tlsClientError', () => {
    options.onRefused()
    stream.destroy()
  })
  tls.on('secureConnection', (socket) => {
    socket.on('close', () => letGo(stream))
    dispatch(options, socket, client.hello, client)
  })
  tls.emit('connection', stream)
}

/** Remembers a connection's ClientHello while the connection lasts, and lets TLS have the bytes. */
function peek(
  { connections, limits, passage }: ListenTlsOptions,
  socket: Socket,
  hellos: Map<string, Uint8Array>,
  proceed: () => void,
): void {
  const name = nameOf(socket)
  connections.silent.add(socket)
  peekHello(socket, { most: limits.clientHelloBytes, timeoutMs: limits.headersTimeoutMs }, (hello) => {
    connections.silent.delete(socket)
    if (hello !== undefined && passage?.take(hello, socket)) return
    if (hello !== undefined) hellos.set(name, hello)
    proceed()
  })
  socket.on('close', () => hellos.delete(name))
}

/** The same for a TCP connection and for the TLS that is spoken on it; no other connection has it meanwhile. */
function nameOf(socket: Socket): string {
  return `${socket.remotePort} ${socket.remoteAddress}`
}

function hear(options: ListenTlsOptions, serverName: string): void {
  try {
    options.onClientHello(serverName.toLowerCase())
  } catch {
    // A hint that fails changes nothing for the handshake.
  }
}

/** Node never asks `SNICallback` for a client that names no server; such clients see the machine's own certificate. */
async function setDefault(server: TlsServer, options: ListenTlsOptions, epoch: number): Promise<void> {
  const kept = await options.contexts.forName(defaultName).catch(() => undefined)
  if (kept === undefined) return
  const { chain: cert, key } = kept.certificate
  server.setSecureContext({
    ...tlsOptions,
    sessionIdContext,
    cert,
    key,
    ticketKeys: ticketKeys(options.ticketSecret, epoch),
  } as TlsOptions)
}

function dispatch(
  { http1, http2, connections }: ListenTlsOptions,
  socket: TLSSocket,
  hello?: Uint8Array,
  passed?: PassedClient,
): void {
  socket.on('error', () => socket.destroy())
  const connection = connections.open(socket, 'https', hello, passed)
  if (socket.alpnProtocol === 'h2') http2.adopt(socket, connection)
  else http1.adopt(socket, connection)
}

function period(now: number, seconds: number): number {
  return Math.floor(now / 1000 / seconds)
}

/** Keys follow from the secret and the time, so that machines change them together without talking (48 bytes, as Node wants). */
export function ticketKeys(secret: Uint8Array, epoch: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, 'rimward tls tickets', String(epoch), 48))
}

/** Returns what ends it. */
function rotateTickets(server: TlsServer, options: ListenTlsOptions): () => void {
  const { clock, limits, ticketSecret } = options
  const timer = setInterval(() => {
    const epoch = period(clock(), limits.tlsTicketKeySeconds)
    server.setTicketKeys(ticketKeys(ticketSecret, epoch))
    void setDefault(server, options, epoch)
  }, 60_000).unref()
  return () => clearInterval(timer)
}
