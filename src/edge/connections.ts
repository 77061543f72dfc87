/**
 * Every client connection: admitted within the caps, known until it ends.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import ipaddr from 'ipaddr.js'
import type { Limits } from '#/core/limits.ts'
import { abandon, type Connection } from './accepted.ts'
import { ConnectionPrints } from './connection-prints.ts'
import { isNearby, type Locate } from './locate.ts'
import type { Metrics } from './metrics.ts'
import type { PassedClient } from './tls-passage.ts'

export interface Connections {
  /** Counts a new socket; false when it is one too many and was destroyed. */
  admit(socket: Duplex, remoteAddress?: string): boolean
  /**
   * Makes the connection of a socket that is ready to carry requests; `hello`: its ClientHello; `passed`: what the node
   * knows of it that passed it on.
   */
  open(socket: Socket | TLSSocket, scheme: 'http' | 'https', hello?: Uint8Array, passed?: PassedClient): Connection
  /** Sockets that were admitted and have said nothing yet; whoever listens to them keeps this true. */
  readonly silent: Set<Socket>
  of(socket: object): Connection | undefined
  readonly all: ReadonlySet<Connection>
  /** Resolves when none is left. */
  empty(): Promise<void>
  destroyAll(): void
}

export interface ConnectionsOptions {
  readonly limits: Pick<Limits, 'connections' | 'connectionsPerAddress'>
  readonly metrics: Metrics
  readonly locate: Locate | undefined
  readonly country: string
}

export function createConnections({ limits, metrics, locate, country }: ConnectionsOptions): Connections {
  const sockets = new Set<Duplex>()
  const perAddress = new Map<string, number>()
  const bySocket = new WeakMap<object, Connection>()
  const all = new Set<Connection>()
  const silent = new Set<Socket>()
  const waiters: (() => void)[] = []

  function forget(socket: Duplex, address: string): void {
    sockets.delete(socket)
    silent.delete(socket as Socket)
    const left = (perAddress.get(address) ?? 1) - 1
    if (left === 0) perAddress.delete(address)
    else perAddress.set(address, left)
    metrics.connections(-1)
    if (sockets.size === 0) for (const done of waiters.splice(0)) done()
  }

  return {
    all,
    silent,
    admit(socket, remoteAddress = (socket as Socket).remoteAddress ?? '') {
      const address = sourceOf(remoteAddress)
      const count = perAddress.get(address) ?? 0
      if (sockets.size >= limits.connections || count >= limits.connectionsPerAddress) {
        metrics.refused('too_many_connections')
        socket.destroy()
        return false
      }
      sockets.add(socket)
      perAddress.set(address, count + 1)
      metrics.connections(1)
      socket.on('error', () => {})
      socket.on('close', () => forget(socket, address))
      return true
    },
    open(socket, scheme, hello, passed) {
      const address = plainAddress(passed?.address ?? socket.remoteAddress ?? '')
      const located = isNearby(address) ? { country: passed?.country ?? country } : locate?.(address)
      const { country: place, ...network } = located ?? {}
      const prints = new ConnectionPrints(hello)
      const connection: Connection = {
        prints,
        client: {
          address,
          port: passed?.port ?? socket.remotePort ?? 0,
          ...(scheme === 'https' && { tls: tlsOf(socket as TLSSocket) }),
          prints,
        },
        serverAddress: plainAddress(passed?.serverAddress ?? socket.localAddress ?? ''),
        scheme,
        country: place,
        network,
        cf: undefined,
        live: [],
        ending: false,
        webSockets: undefined,
        handedFrom: passed?.from,
        endSoon: () => socket.destroySoon(),
        destroy: () => socket.destroy(),
      }
      bySocket.set(socket, connection)
      all.add(connection)
      socket.on('close', () => {
        all.delete(connection)
        abandon(connection)
      })
      return connection
    },
    of: (socket) => bySocket.get(socket),
    async empty() {
      if (sockets.size > 0) await new Promise<void>((resolve) => waiters.push(resolve))
    },
    destroyAll() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** IPv4 clients of a dual-stack socket arrive as `::ffff:192.0.2.1`. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address
}

/** What counts as one client: an IPv4 address, or the /64 that an IPv6 host can choose from at will. */
function sourceOf(address: string): string {
  const plain = plainAddress(address)
  if (!plain.includes(':') || !ipaddr.isValid(plain)) return plain
  return ipaddr.IPv6.parse(plain).parts.slice(0, 4).join(':')
}

function tlsOf(socket: TLSSocket): NonNullable<Connection['client']['tls']> {
  const serverName = socket.servername
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    serverName: typeof serverName === 'string' ? serverName : undefined,
  }
}
