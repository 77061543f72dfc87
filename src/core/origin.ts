/**
 * Origins of a site: where it fetches from, which one is chosen, how it is reached, and whether it is well. Nouns only:
 * `origin/` acts by them, `control/` keeps them, the doors translate into them.
 */
import type { PopId } from './pops.ts'
import type { Sealed } from './snapshot.ts'
import type { EpochMs, Milliseconds } from './units.ts'

export const tlsVersions = ['1.0', '1.1', '1.2', '1.3'] as const
export type TlsVersion = (typeof tlsVersions)[number]

/** Probes of TCP on a connection where nothing is said; probes go unanswered: it is dead. */
export interface TcpKeepAlive {
  /** Silence before the first probe. */
  readonly idleMs: Milliseconds
  readonly intervalMs: Milliseconds
  readonly probes: number
}

/** How one origin is reached; what is absent is as the limits `siteOrigin…` say (Fastly's defaults). */
export interface OriginConnection {
  /** Name resolution aside: TCP and TLS. */
  readonly connectTimeoutMs?: Milliseconds
  readonly firstByteTimeoutMs?: Milliseconds
  readonly betweenBytesTimeoutMs?: Milliseconds
  readonly maxConnections?: number
  /** How long an unused connection is kept. */
  readonly keepAliveMs?: Milliseconds
  /** Requests on one connection before it is closed; 0: no bound. */
  readonly maxUse?: number
  /** No new request goes on a connection older than this; 0: no bound. */
  readonly maxLifetimeMs?: Milliseconds
  /** Instead of the URL's host: in SNI, and for the certificate where `certificateHostname` is absent. */
  readonly sniHostname?: string
  /** The name that must be in the certificate. */
  readonly certificateHostname?: string
  /** false: any certificate is taken. */
  readonly checkCertificate?: boolean
  /** PEM: the only authorities trusted for this origin, instead of the usual ones. */
  readonly caCertificate?: string
  /** PEM, leaf first, shown to the origin; with `clientKey`. */
  readonly clientCertificate?: string
  readonly clientKey?: Sealed
  readonly minTlsVersion?: TlsVersion
  readonly maxTlsVersion?: TlsVersion
  /** OpenSSL's list of cipher suites for TLS up to 1.2, `:` between them. */
  readonly ciphers?: string
  /** false: none; absent: after a minute, then as the system does it. */
  readonly tcpKeepAlive?: TcpKeepAlive | false
  /** Nothing but HTTP/2 is spoken to it, in cleartext by prior knowledge (RFC 9113 §3.3): what gRPC needs. */
  readonly http2Only?: true
}

/** One origin of a pool. */
export interface Origin extends OriginConnection {
  /** Unique in its pool; in health, counters and hashes. */
  readonly name: string
  /** Absolute http(s) URL without query; its path is put before the request's. */
  readonly url: string
  /** Share of the requests, against the other weights. */
  readonly weight: number
  /** Host field instead of the URL's own. */
  readonly overrideHost?: string
  /** Instead of the pool's. */
  readonly healthCheck?: HealthCheck
}

/**
 * `weighted-random`: by weight; `hash`: the same URL at the same origin; `client-hash`: the same client at the same
 * origin; `fallback`: the first healthy one. Both hashes are consistent: an origin that goes moves only its own share.
 */
export const originChoices = ['weighted-random', 'hash', 'client-hash', 'fallback'] as const
export type OriginChoice = (typeof originChoices)[number]

export interface OriginPool {
  readonly origins: readonly Origin[]
  readonly choice: OriginChoice
  /** Percentage of the weights that must be healthy, or the whole pool counts as down; absent: any one will do. */
  readonly quorum?: number
  /** For every origin without one of its own; absent: origins are taken for healthy. */
  readonly healthCheck?: HealthCheck
  /** The PoP through which all others fetch from these origins, instead of the site's. */
  readonly shield?: PopId
}

/** https://www.fastly.com/documentation/reference/api/services/healthcheck/ */
export interface HealthCheck {
  readonly method: 'HEAD' | 'GET' | 'POST'
  readonly path: string
  /** Host field; absent: as requests send it. */
  readonly host?: string
  readonly expectedStatus: number
  /** Field names and values. */
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: Milliseconds
  readonly intervalMs: Milliseconds
  /** Successes among the last `window` checks that make an origin healthy. */
  readonly threshold: number
  readonly window: number
  /** Successes that are assumed at the start. */
  readonly initial: number
}

/** What is known of one origin at this point of presence. */
export interface OriginState {
  readonly site: string
  readonly name: string
  readonly url: string
  readonly healthy: boolean
  /** Absent where no health check is configured. */
  readonly check?: {
    readonly successes: number
    readonly window: number
    readonly threshold: number
    readonly since: EpochMs
    readonly last?: { readonly at: EpochMs; readonly ok: boolean; readonly why: string }
  }
  /** Since this node started, or the site's origins were changed. */
  readonly requests: number
  readonly failures: number
  /** Requests that came here after another origin had failed. */
  readonly retries: number
}

/** Custom pages for errors of the platform, by status (`503`) or class (`5xx`). */
export type ErrorPages = Readonly<Record<string, { readonly type: string; readonly body: string }>>
