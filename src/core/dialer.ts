/** The port of connections for what is not HTTP. */
import type { Socket } from 'node:net'
import type { EgressRequest } from './ports.ts'

export interface DialRequest {
  /** Who asks: decides which addresses are allowed. */
  readonly by: EgressRequest['by']
  readonly host: string
  readonly port: number
  /** The server's certificate is checked against `host`. */
  readonly tls: boolean
  readonly signal: AbortSignal
}

/** Connections for what is not HTTP (syslog), under the same rules as every other way out. */
export interface Dialer {
  /** Rejects with `egress_refused`, `origin_unresolved`, `origin_refused`, `origin_timeout` or `origin_failed`. */
  dial(request: DialRequest): Promise<Socket>
}
