/** A socket to another node, proven to be it. */
import { X509Certificate } from 'node:crypto'
import { createConnection } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect, type TLSSocket } from 'node:tls'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import { fingerprintOf } from './authority.ts'
import type { NodeEntry } from './directory.ts'
import type { Identity } from './identity.ts'
import { placeOf } from './node-name.ts'
import { tlsOptions } from './session-settings.ts'

/** How bytes get there; tests hand over one that they can cut. */
export type DialSocket = (entry: NodeEntry) => Duplex

export const dialTcp: DialSocket = ({ address }) => createConnection({ ...address, noDelay: true, keepAlive: true })

export interface DialNodeOptions {
  readonly entry: NodeEntry
  readonly identity: Identity
  readonly limits: Pick<Limits, 'meshConnectMs'>
  readonly dial: DialSocket
}

/** Rejects with what the system or TLS says, or `peer_away` when another node, or one with another key, listens there. */
export async function dialNode({ entry, identity, limits, dial }: DialNodeOptions): Promise<TLSSocket> {
  const raw = dial(entry)
  const socket = connect({
    ...tlsOptions(identity),
    socket: raw,
    servername: 'node',
    checkServerIdentity: (_, certificate) => wrongNode(entry, new X509Certificate(certificate.raw)),
  })
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
  const timer = setTimeout(() => {
    reject(new EdgeError('peer_away', `The node ${entry.node} did not answer within ${limits.meshConnectMs} ms.`))
    socket.destroy()
    raw.destroy()
  }, limits.meshConnectMs)
  raw.on('error', (error) => socket.destroy(error))
  socket.once('secureConnect', () => resolve(socket))
  socket.on('error', (error) => {
    raw.destroy()
    reject(error)
  })
  socket.once('close', () => reject(new EdgeError('peer_away', `The node ${entry.node} closed the connection.`)))
  return promise.finally(() => clearTimeout(timer))
}

/** The key counts, not the word of the directory: pop and country are taken from the certificate by who needs them. */
function wrongNode(entry: NodeEntry, certificate: X509Certificate): Error | undefined {
  const where = `${entry.address.host}:${entry.address.port}`
  const place = placeOf(certificate)
  if (place?.node !== entry.node)
    return new EdgeError(
      'peer_away',
      `At ${where} listens ${place?.node ?? 'something else'}, not the node ${entry.node}.`,
    )
  if (fingerprintOf(certificate.publicKey) === entry.fingerprint) return undefined
  return new EdgeError(
    'peer_away',
    `At ${where} listens a node ${entry.node} with another key than the platform knows.`,
  )
}
