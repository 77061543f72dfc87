/** What a cell and its node say to each other about requests to backends. */
import type { HeaderList } from '#/core/exchange.ts'
import type { HealthCheck, TcpKeepAlive } from '#/core/origin.ts'

/** Cell → node: sends a request. Body: the request's. Reply: `FetchedHead` with the answer's body. */
export interface FetchHead {
  readonly do: 'fetch'
  readonly run: number
  /** Name of a backend of the service, or of one that this request registered. */
  readonly backend: string
  readonly method: string
  /** Absolute, or a path. */
  readonly uri: string
  readonly headers: HeaderList
  /** Absent: past the cache (`send_v3`). */
  readonly cache?: FetchCache
  /** A program need not wait for it: it goes on when the program has ended (`send_async`). */
  readonly later: boolean
  /** gzip bodies are decoded on their way. */
  readonly decompress: boolean
}

/** `CacheOverride`; times in seconds. */
export interface FetchCache {
  readonly pass: boolean
  readonly ttl?: number
  readonly staleWhileRevalidate?: number
  /** Never on disk. */
  readonly memoryOnly: boolean
  readonly surrogateKey: string
}

export type FetchedHead =
  | {
      readonly status: number
      readonly headers: HeaderList
      /** Who answered, where this is known: not for answers out of the cache. */
      readonly origin?: { readonly address: string; readonly port: number }
    }
  | { readonly failed: SendErrorTag; readonly message: string; readonly tlsAlert?: number }

/** `send_error_detail_tag` of the public ABI (compute-at-edge-abi/typenames.witx). */
export const sendErrorTag = {
  uninitialized: 0,
  ok: 1,
  dnsTimeout: 2,
  dnsError: 3,
  destinationNotFound: 4,
  destinationUnavailable: 5,
  destinationIpUnroutable: 6,
  connectionRefused: 7,
  connectionTerminated: 8,
  connectionTimeout: 9,
  connectionLimitReached: 10,
  tlsCertificateError: 11,
  tlsConfigurationError: 12,
  httpIncompleteResponse: 13,
  httpResponseHeaderSectionTooLarge: 14,
  httpResponseBodyTooLarge: 15,
  httpResponseTimeout: 16,
  httpResponseStatusInvalid: 17,
  httpUpgradeFailed: 18,
  httpProtocolError: 19,
  httpRequestCacheKeyInvalid: 20,
  httpRequestUriInvalid: 21,
  internalError: 22,
  tlsAlertReceived: 23,
  tlsProtocolError: 24,
  h2Error: 25,
} as const

export type SendErrorTag = keyof typeof sendErrorTag

/** Cell → node: a backend that a program describes itself, good for the rest of its request. Reply: `BackendFacts`. */
export interface AddBackendHead {
  readonly do: 'backend-add'
  readonly run: number
  readonly backend: DynamicBackend
}

/** `dynamic_backend_config` of the ABI; times in milliseconds. */
export interface DynamicBackend {
  readonly name: string
  /** Host with or without port. */
  readonly target: string
  readonly tls: boolean
  readonly overrideHost?: string
  readonly connectTimeoutMs?: number
  readonly firstByteTimeoutMs?: number
  readonly betweenBytesTimeoutMs?: number
  readonly minTlsVersion?: number
  readonly maxTlsVersion?: number
  readonly certificateHostname?: string
  readonly caCertificate?: string
  /** OpenSSL's list. */
  readonly ciphers?: string
  /** '' for none. */
  readonly sniHostname?: string
  readonly clientCertificate?: string
  /** PEM. */
  readonly clientKey?: string
  readonly keepAliveMs?: number
  /** false: none. */
  readonly tcpKeepAlive?: TcpKeepAlive | false
  readonly grpc?: true
  readonly healthCheck?: HealthCheck
  readonly maxConnections?: number
  readonly maxUse?: number
  readonly maxLifetimeMs?: number
}

/** Cell → node: what its health checks say. Reply: `{ health }`. */
export interface BackendHealthHead {
  readonly do: 'backend-health'
  readonly run: number
  readonly backend: string
}

export type BackendHealth = 'unknown' | 'healthy' | 'unhealthy'

/** Cell → node: gives the client's connection to a backend, WebSocket above all. Reply: none or a failure. */
export interface HandOverHead {
  readonly do: 'hand-over'
  readonly run: number
  readonly backend: string
  /** Absent: the client's own. */
  readonly request?: { readonly method: string; readonly uri: string; readonly headers: HeaderList }
}
