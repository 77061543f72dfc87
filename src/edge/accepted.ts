/**
 * A connection, and the exchanges on it, from accept to record.
 */
import { randomFillSync } from 'node:crypto'
import type { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { Answer, Client, Exchange, HeaderList } from '#/core/exchange.ts'
import type { Site } from '#/core/snapshot.ts'
import type { EpochMs } from '#/core/units.ts'
import type { ConnectionPrints } from './connection-prints.ts'
import type { Head } from './read-head.ts'
import type { RequestBody } from './request-body.ts'

/** What is the same for all exchanges of one connection, so that it is found out once. */
export interface Connection {
  readonly client: Client
  /** The client's, as they are gathered. */
  readonly prints: ConnectionPrints
  /** Address of our socket. */
  readonly serverAddress: string
  readonly scheme: 'http' | 'https'
  /** ISO 3166 code; undefined where nobody knows. */
  readonly country: string | undefined
  readonly network: { readonly asn?: number; readonly asOrganization?: string } | undefined
  /** Serialized `request.cf`, made with the first request. */
  cf: string | undefined
  /** An array: a Set that fills and empties with every request costs a third of the garbage collector's time. */
  readonly live: AcceptedExchange[]
  /** HTTP/1: a request was refused or misread here; whatever bytes follow it are not requests any more. */
  ending: boolean
  /** Makes each WebSocket say that this end goes away; made with the first. */
  webSockets: Set<() => void> | undefined
  /** The node that its client is connected to, where that is another one. */
  readonly handedFrom: string | undefined
  /** Set on HTTP/2: GOAWAY, then the end when the last stream is done. */
  endGracefully?: () => void
  /** Ends the connection when what was written to it is out. */
  endSoon(): void
  /** Ends the connection at once. */
  destroy(): void
}

const pool = Buffer.alloc(8 * 512)
let digits = ''
let used = 0

/** 16 hex digits; unique, not secret. */
export function newId(): string {
  if (used === digits.length) {
    digits = randomFillSync(pool).toString('hex')
    used = 0
  }
  used += 16
  return digits.slice(used - 16, used)
}

export interface ExchangeStart {
  /** Absent: a new one. */
  readonly id?: string
  readonly startedAt: EpochMs
  /** Monotonic clock reading in milliseconds, for the duration. */
  readonly startedTick: number
  readonly method: string
  readonly httpVersion: '1.0' | '1.1' | '2'
  readonly headers: HeaderList
  readonly head: Head
  readonly body: RequestBody | null
}

/** The only class that is an Exchange: it makes its AbortSignal when somebody first asks for it. */
export class AcceptedExchange implements Exchange {
  readonly id: string
  readonly connection: Connection
  readonly startedAt: EpochMs
  readonly startedTick: number
  readonly method: string
  readonly httpVersion: '1.0' | '1.1' | '2'
  readonly host: string
  readonly authority: string
  readonly path: string
  readonly headers: HeaderList
  readonly requestBody: RequestBody | null
  readonly wantsUpgrade: boolean
  site?: string
  program?: string
  deployment?: string
  cache?: string
  shield?: string
  start?: 'cold' | 'warm' | 'pooled'
  error?: EdgeError
  status?: number
  bytesOut?: number
  /** Why the exchange failed as seen from the connection; comes before what others throw because of it. */
  fault: EdgeError | undefined
  /** Nothing behind this exchange can be read: its answer is the connection's last. */
  isLast: boolean
  /** W3C Trace Context for the program or origin, when traces are exported. */
  traceparent: string | undefined
  /** What the site, once it is known, says of the platform's own error pages. */
  ofSite: Pick<Site, 'errorPages' | 'answers'> | undefined
  /** The last phase of the site's rules, where it has some: on error pages too. */
  finishPage: ((page: Answer) => Answer) | undefined
  /** What the site's own rules say of this answer; undefined: they say nothing. */
  mayCompress: boolean | undefined
  /** The log says that it was there, and nothing else of it: it belongs to a country where this node is not. */
  withheld: boolean
  /** The node that was asked to answer it. */
  handedTo: string | undefined
  /** The node that its client is connected to. */
  readonly handedFrom: string | undefined
  timings: Exchange['timings'] = {}
  #controller: AbortController | undefined

  constructor(connection: Connection, start: ExchangeStart) {
    this.id = start.id ?? newId()
    this.connection = connection
    this.startedAt = start.startedAt
    this.startedTick = start.startedTick
    this.method = start.method
    this.httpVersion = start.httpVersion
    this.headers = start.headers
    this.host = start.head.host
    this.authority = start.head.authority
    this.path = start.head.path
    this.wantsUpgrade = start.head.wantsUpgrade
    this.requestBody = start.body
    this.fault = undefined
    this.traceparent = undefined
    this.ofSite = undefined
    this.finishPage = undefined
    this.mayCompress = undefined
    this.isLast = false
    this.withheld = false
    this.handedTo = undefined
    this.handedFrom = connection.handedFrom
  }

  get scheme(): 'http' | 'https' {
    return this.connection.scheme
  }

  get client(): Client {
    return this.connection.client
  }

  get body(): Readable | null {
    return this.requestBody === null ? null : this.requestBody.stream
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.fault !== undefined) this.#controller.abort(this.fault)
    }
    return this.#controller.signal
  }

  /** Ends the exchange from the connection's side: the client left, went silent or sent too much. */
  fail(error: EdgeError): void {
    if (this.fault !== undefined) return
    this.fault = error
    this.#controller?.abort(error)
    this.requestBody?.fail(error)
  }
}

export function clientGone(): EdgeError {
  return new EdgeError('client_gone', 'The client closed the connection before the answer was complete.')
}

/** For what never became a request: the log line and the page need the same shape. */
export const noHead: Head = {
  authority: '',
  host: '',
  path: '',
  hasBody: false,
  contentLength: 0,
  wantsUpgrade: false,
}

/** Takes an exchange off its connection; the others keep their order. */
export function leave(exchange: AcceptedExchange): void {
  const { live } = exchange.connection
  if (live.at(-1) === exchange) live.pop()
  else {
    const index = live.indexOf(exchange)
    if (index !== -1) live.splice(index, 1)
  }
}

/** The client left: everything that is still in flight on the connection ends. */
export function abandon(connection: Connection): void {
  for (const exchange of [...connection.live]) exchange.fail(clientGone())
}
