/**
 * One request and what was learned while answering it. Made by `edge/` when a request is accepted; ends in one log line.
 */
import type { Duplex, Readable } from 'node:stream'
import type { EdgeError } from './errors.ts'
import type { EpochMs, Milliseconds } from './units.ts'

/**
 * Header fields as on the wire: name, value, name, value… in order, duplicates kept (Node's `rawHeaders`).
 * A flat array is what parsers give and writers take, so nothing is copied on the way.
 */
export type HeaderList = string[]

/** Bytes at once where they are all there, a stream where they are not, null where there are none. */
export type Body = Readable | Uint8Array | null

/** A stored body in other content codings (`br`, `gzip`, `zstd`), kept with its answer and gone with it. */
export interface CodedBodies {
  /** Undefined where this coding is not kept. At once where memory knows. */
  find(coding: string): CodedBody | undefined | Promise<CodedBody | undefined>
  /** Reads `coded`, the whole body in this coding, and keeps what passes; the caller sends what comes back instead. */
  keep(coding: string, coded: Readable): Readable
}

export interface CodedBody {
  readonly bytes: number
  readonly body: Readable | Uint8Array
}

/** Anything that can answer answers with this. Hop-by-hop fields (RFC 9110 §7.6.1) are never in `headers`. */
export interface Answer {
  readonly status: number
  readonly statusText?: string
  readonly headers: HeaderList
  readonly body: Body
  /** The body in other content codings, where it is stored and costly to encode. */
  readonly codings?: CodedBodies
  /** Set when `status` is 101: the raw connection, bytes after the head first. */
  readonly upgraded?: Duplex
  /** Goes out byte for byte: not compressed here. */
  readonly verbatim?: boolean
  /** Its head is complete, with `x-served-by` and `cf-ray`: another node of the platform wrote it. */
  readonly headComplete?: true
  /** A rule of the site says that the shared cache must not keep it, whatever else was wished. */
  readonly withheld?: boolean
}

export interface Client {
  readonly address: string
  readonly port: number
  /** Absent on cleartext connections. */
  readonly tls?: { readonly version: string; readonly cipher: string; readonly serverName: string | undefined }
  readonly prints?: ClientPrints
}

/** Marks by which kinds of clients are told apart; undefined where the connection has none of the kind. */
export interface ClientPrints {
  /** The ClientHello: the handshake message with its four bytes of type and length (RFC 8446 §4). */
  readonly hello: Uint8Array | undefined
  /** 32 bytes in it. */
  readonly random: Uint8Array | undefined
  /** 32 hex digits. */
  readonly ja3: string | undefined
  readonly ja4: string | undefined
  /** How HTTP/2 began: `SETTINGS|WINDOW_UPDATE|PRIORITY|pseudo-fields`. */
  readonly http2: string | undefined
}

export interface Exchange {
  /** 16 hex digits; the first half of `cf-ray`, the id on error pages and in the log. */
  readonly id: string
  readonly startedAt: EpochMs
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly httpVersion: '1.0' | '1.1' | '2'
  /** Lower case, without port. */
  readonly host: string
  /** As the client sent it, with its port where it has one. */
  readonly authority: string
  /** Origin-form: path and query, as sent. */
  readonly path: string
  readonly headers: HeaderList
  readonly body: Readable | null
  readonly client: Client
  /** Aborted when the client left or the time for this exchange is over. */
  readonly signal: AbortSignal
  /** True when the client asked to switch protocols (`Upgrade`, RFC 9110 §7.8). */
  readonly wantsUpgrade: boolean

  // What is learned on the way, for the log line.
  site?: string
  program?: string
  deployment?: string
  cache?: string
  /** The shield PoP that took part. */
  shield?: string
  start?: 'cold' | 'warm' | 'pooled'
  error?: EdgeError
  status?: number
  bytesOut?: number
  timings: { shield?: Milliseconds; cache?: Milliseconds; program?: Milliseconds; origin?: Milliseconds }
}
