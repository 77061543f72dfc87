/** The port of certificates: who answers a TLS handshake, and ACME's challenges. */
import type { Within } from './pops.ts'

export interface Certificate {
  /** PEM, leaf first. */
  readonly chain: string
  /** PEM. */
  readonly key: string
}

export interface Certificates {
  /** The certificate for a server name (SNI, lower case); `undefined` refuses the handshake. May take its time. */
  forName(serverName: string): Promise<Certificate | undefined>
  /** Countries that the key for a server name (lower case) stays in; absent or undefined: it is everywhere. */
  withinOf?(serverName: string): Within | undefined
  /** Answer to an ACME HTTP-01 challenge (RFC 8555 §8.3), where one is open. */
  challenge(host: string, token: string): Promise<string | undefined>
}
