/**
 * TLS for sites that are answered elsewhere, or whose key lies elsewhere, passed on as it comes: the name in the ClientHello
 * says whose it is, a node inside speaks TLS with the client. Nothing is decrypted here, and no key for it is here.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Certificates } from '#/core/certificates.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Mesh } from '#/core/mesh.ts'
import { allows, nearestPeers, type Within } from '#/core/pops.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { parseClientHello } from './client-hello.ts'
import { findSiteByName } from './find-site.ts'
import { letGo } from './join-websocket.ts'

/** How long a client has to read why there is no handshake. */
const lingerMs = 1000

/** Topic of the mesh, a tunnel. */
const topic = 'edge/tls'

/** What the node that speaks TLS cannot see of the client. */
export interface PassedClient {
  readonly address: string
  readonly port: number
  readonly serverAddress: string
  /** The ClientHello, which the bytes of the tunnel begin with too. */
  readonly hello: Uint8Array
  /** The node that the client is connected to, and the country of addresses near it. */
  readonly from: string
  readonly country: string
}

export interface PassageOptions {
  readonly mesh: Pick<Mesh, 'peers' | 'tunnel' | 'serveTunnel'>
  readonly snapshot: () => Snapshot
  readonly country: string
  readonly certificates?: Pick<Certificates, 'withinOf'> | undefined
  /** Told of connections that nobody could be found for. */
  readonly onRefused: () => void
}

export interface TlsPassage {
  /** Takes the connection when its name belongs elsewhere; its bytes, the hello first, must lie in its buffer. */
  take(hello: Uint8Array, socket: Socket): boolean
  /** Has connections that other nodes pass on adopted. Returns how to take it back. */
  serve(adopt: (stream: Duplex, client: PassedClient) => void): () => void
}

/** RFC 8446 §6: fatal, internal_error; in the clear, since no handshake has begun (§5.1). */
const internalError = Buffer.from([21, 3, 3, 0, 2, 2, 80])

export function createTlsPassage({ mesh, snapshot, country, certificates, onRefused }: PassageOptions): TlsPassage {
  async function pass(within: Within, hello: Uint8Array, socket: Socket): Promise<void> {
    const { remoteAddress = '', remotePort = 0, localAddress = '' } = socket
    const facts = { address: remoteAddress, port: remotePort, serverAddress: localAddress }
    const head = { ...facts, hello: Buffer.from(hello).toString('base64') }
    for (const { node } of nearestPeers(mesh.peers(), within)) {
      try {
        const stream = await mesh.tunnel(node, topic, head)
        join(socket, stream)
        return
      } catch (error) {
        // Not a byte has left: the next one may be asked.
        if (!(error instanceof EdgeError)) throw error
      }
    }
    throw new EdgeError('peer_away', 'No node that may answer can be reached now.')
  }

  return {
    take(hello, socket) {
      const current = snapshot()
      if (current.placements === undefined) return false
      const serverName = parseClientHello(hello)?.serverName?.toLowerCase()
      if (serverName === undefined) return false
      // A site that may be anywhere can share a certificate with one that may not.
      const within = findSiteByName(current, serverName)?.within ?? certificates?.withinOf?.(serverName)
      if (within === undefined || allows(within, country)) return false
      pass(within, hello, socket).catch(() => {
        onRefused()
        socket.on('error', () => {}).end(internalError)
        socket.resume().setTimeout(lingerMs, () => socket.destroy())
      })
      return true
    },
    serve: (adopt) =>
      mesh.serveTunnel(topic, ({ head, from }, stream) => {
        const { address, port, serverAddress, hello } = head as { [name: string]: string } & { port: number }
        adopt(stream, {
          address: address!,
          port,
          serverAddress: serverAddress!,
          hello: Buffer.from(hello!, 'base64'),
          from: from.node,
          country: from.country,
        })
      }),
  }
}

/** Byte for byte until either side ends; what was written to the other still goes out. */
function join(socket: Socket, stream: Duplex): void {
  const over = () => {
    letGo(socket)
    letGo(stream)
  }
  for (const side of [socket, stream]) side.on('error', over).on('close', over)
  socket.pipe(stream).pipe(socket)
}
