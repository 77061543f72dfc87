/** What both ends of a link agree on; HTTP/2 by RFC 9113. */
import { constants as cryptoConstants } from 'node:crypto'
import type { Limits } from '#/core/limits.ts'
import type { Identity } from './identity.ts'

const MiB = 1024 * 1024
/** Fields of a call are few and ours: everything of size is in the head frame. */
const fieldBytes = 4 * 1024

/** What one session is bounded by, at either end. */
export type SessionLimits = Pick<
  Limits,
  | 'meshHeadBytes'
  | 'meshPingMs'
  | 'meshSilenceMs'
  | 'meshConnectMs'
  | 'meshStreamBytes'
  | 'meshSessionBytes'
  | 'meshCalls'
  | 'meshTunnels'
>

export function sessionOptions(
  limits: Pick<SessionLimits, 'meshStreamBytes' | 'meshSessionBytes' | 'meshCalls' | 'meshTunnels'>,
) {
  const streams = limits.meshCalls + limits.meshTunnels
  return {
    settings: {
      enablePush: false,
      initialWindowSize: limits.meshStreamBytes,
      maxConcurrentStreams: streams,
      maxHeaderListSize: fieldBytes,
    },
    peerMaxConcurrentStreams: streams,
    // In megabytes. Node counts here what waits to be written, and refuses streams above it.
    maxSessionMemory: Math.ceil((limits.meshSessionBytes * 4) / MiB) + Math.ceil(streams / 64),
  }
}

/** TLS 1.3 only, and both sides show a certificate of the platform's own authority; no other authority counts. */
export function tlsOptions({ key, certificate, authority }: Pick<Identity, 'key' | 'certificate' | 'authority'>) {
  return {
    key,
    cert: certificate,
    ca: authority,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ALPNProtocols: ['h2'],
    // A resumed handshake shows no certificate.
    secureOptions: cryptoConstants.SSL_OP_NO_TICKET,
    requestCert: true,
    rejectUnauthorized: true,
  } as const
}
