/**
 * One stream of an HTTP/2 connection of our own framing: its request body coming in, its answer going out.
 */
import { type Duplex, Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import { headerValue } from '#/http/header-list.ts'
import { fieldsBlock } from '#/http/hpack.ts'
import { type AcceptedExchange, clientGone } from './accepted.ts'
import { areFieldsSound } from './check-fields.ts'
import { fieldsOfLines, fixedBlock } from './h2-fixed-head.ts'
import { flag, h2Error } from './h2-frames.ts'
import { createTunnel } from './h2-tunnel.ts'
import { declaredLength } from './http1-reply.ts'
import { joinWebSocket } from './join-websocket.ts'
import { pump, type Sink } from './pump.ts'
import type { Reply, Trailers } from './reply.ts'
import type { RequestBody } from './request-body.ts'

/** What a stream needs of its connection. */
export interface StreamHost {
  /** The Date field's value for now. */
  date(): string
  sendHead(stream: number, flags: number, status: number, headers: HeaderList): void
  sendBlock(stream: number, flags: number, block: string): void
  /** Sends what windows allow of the stream's waiting bytes. */
  sendWaiting(stream: H2Stream): void
  resetStream(stream: H2Stream, code: number): void
  /** Everything was sent; the request may still be coming. */
  answered(stream: H2Stream): void
  credit(stream: H2Stream, bytes: number): void
}

/** Bytes read before the client may send as many more: not a frame for every few. */
const creditStep = 16 * 1024
/** Bytes of an answer that wait for the client before its source is stopped. */
const highWater = 64 * 1024

/** Most streams have no listeners. */
const none: (() => void)[] = []

export class H2Stream implements Reply, Sink {
  readonly id: number
  readonly #host: StreamHost
  sendWindow: number
  receiveWindow: number
  headSent = false
  destroyed = false
  /** The client's side is finished: END_STREAM came. */
  remoteEnded = false
  /** An extended CONNECT (RFC 8441). */
  asksForWebSocket = false
  declared: number | undefined
  received = 0
  exchange: AcceptedExchange | undefined
  body: RequestBody | undefined
  /** Set while the request's body is read from here. */
  readonly source: Readable | undefined
  waiting: Uint8Array[] = []
  waitingBytes = 0
  /** The last of `waiting` is the last of all. */
  ended = false
  lastProgress: number
  /** Fields that end the stream, behind the body. */
  trailers: HeaderList | undefined
  /** END_STREAM went out. */
  sentEnd = false
  /** RFC 9113 §8.1: having answered, we want no more of the request's body. */
  wantsNoMore = false
  #padding = 0
  #credited = 0
  #drainListeners: (() => void)[] = none
  #closeListeners: (() => void)[] = none

  constructor(
    id: number,
    host: StreamHost,
    windows: { readonly send: number; readonly receive: number },
    hasBody: boolean,
  ) {
    this.id = id
    this.#host = host
    this.sendWindow = windows.send
    this.receiveWindow = windows.receive
    this.lastProgress = performance.now()
    this.remoteEnded = !hasBody
    if (hasBody) this.source = new Readable({ read: () => this.#creditConsumed() }).on('error', () => {})
  }

  // ─── The request's body ──────────────────────────────────────────────────────────────────────────────────────

  /** DATA within the windows; what nobody will read is credited at once. */
  receive(bytes: Buffer, frameLength: number): void {
    this.lastProgress = performance.now()
    this.receiveWindow -= frameLength
    this.received += bytes.length
    this.#padding += frameLength - bytes.length
    // A copy: the bytes belong to a buffer that is as large as what came with them.
    if (bytes.length > 0) this.source?.push(Buffer.from(bytes))
    this.#creditConsumed()
  }

  endOfBody(): void {
    this.remoteEnded = true
    this.source?.push(null)
  }

  /** Lets the client send as much as was read. */
  #creditConsumed(): void {
    const buffered = this.source?.readableLength ?? 0
    const bytes = this.uncredited() - buffered
    if (bytes < creditStep || this.remoteEnded || this.destroyed) return
    this.#credited += bytes
    this.#host.credit(this, bytes)
  }

  /** Bytes that count against the connection's window and were never given back. */
  uncredited(): number {
    return this.received + this.#padding - this.#credited
  }

  // ─── The answer ──────────────────────────────────────────────────────────────────────────────────────────────

  informational(status: number, headers: HeaderList): void {
    if (this.headSent || this.destroyed || !areFieldsSound(headers)) return
    this.#host.sendHead(this.id, 0, status, headers)
  }

  sendWhole(status: number, _statusText: string | undefined, headers: HeaderList, body: Uint8Array | null): void {
    this.#refuseAsWebSocket(status)
    this.#begin(headers)
    if (body === null || body.length === 0) {
      this.#host.sendHead(this.id, flag.endStream, status, headers)
      this.ended = true
      this.sentEnd = true
      this.#host.answered(this)
      return
    }
    this.#host.sendHead(this.id, 0, status, headers)
    this.#sendBody(body)
  }

  #sendBody(body: Uint8Array): void {
    if (body.length > 0) this.waiting.push(body)
    this.waitingBytes = body.length
    this.ended = true
    this.#host.sendWaiting(this)
  }

  /** `head` becomes a block once. */
  sendFixed(head: string, rest: string, body: Uint8Array): void {
    if (this.destroyed || this.headSent) throw clientGone()
    this.#refuseAsWebSocket(200)
    this.headSent = true
    this.#host.sendBlock(this.id, 0, fixedBlock(head) + fieldsBlock(fieldsOfLines(rest, 0), 0))
    this.#sendBody(body)
  }

  async sendStream(
    status: number,
    _statusText: string | undefined,
    headers: HeaderList,
    body: Readable,
    trailers?: Trailers,
  ): Promise<number> {
    if (this.asksForWebSocket && status < 300) body.on('error', () => {}).destroy()
    this.#refuseAsWebSocket(status)
    this.#begin(headers)
    this.#host.sendHead(this.id, 0, status, headers)
    const onTrailers = trailers === 'send' ? this.#keepTrailers : undefined
    return pump(body, this, { declared: declaredLength(headers), onStall() {}, onTrailers })
  }

  /** RFC 8441 §5: 200 says what 101 does, and `Sec-WebSocket-Accept` has no place. */
  async switchProtocols(headers: HeaderList, upgraded: Duplex): Promise<number> {
    const { exchange } = this
    if (this.destroyed || exchange === undefined) {
      upgraded.destroy()
      throw clientGone()
    }
    const fields: HeaderList = []
    for (let index = 0; index < headers.length; index += 2)
      if (headers[index]!.toLowerCase() !== 'sec-websocket-accept') fields.push(headers[index]!, headers[index + 1]!)
    this.#begin(fields)
    this.#host.sendHead(this.id, 0, 200, fields)
    const tunnel = createTunnel(this, (code) => this.#host.resetStream(this, code))
    return joinWebSocket(tunnel, upgraded, exchange.connection)
  }

  closeAfter(): void {
    this.wantsNoMore = true
  }

  cut(): void {
    if (!this.destroyed) this.#host.resetStream(this, h2Error.internal)
  }

  readonly #keepTrailers = (fields: HeaderList): void => {
    this.trailers = fields
  }

  /** A page with 200 would be taken for the WebSocket itself (RFC 8441 §5). */
  #refuseAsWebSocket(status: number): void {
    if (this.asksForWebSocket && status < 300)
      throw new EdgeError('bad_request', `What answers here is no WebSocket: it answered ${status}.`)
  }

  #begin(headers: HeaderList): void {
    if (this.destroyed || this.headSent) throw clientGone()
    this.headSent = true
    if (headerValue(headers, 'date') === undefined) headers.push('date', this.#host.date())
  }

  // ─── As a sink ───────────────────────────────────────────────────────────────────────────────────────────────

  write(chunk: Uint8Array): boolean {
    if (this.destroyed) return false
    if (chunk.length > 0) {
      this.waiting.push(chunk)
      this.waitingBytes += chunk.length
      this.#host.sendWaiting(this)
    }
    return this.waitingBytes < highWater
  }

  end(): void {
    if (this.destroyed) return
    this.ended = true
    this.#host.sendWaiting(this)
  }

  on(event: 'drain' | 'close', listener: () => void): void {
    if (event === 'drain') this.#drainListeners = [...this.#drainListeners, listener]
    else this.#closeListeners = [...this.#closeListeners, listener]
  }

  off(event: 'drain' | 'close', listener: () => void): void {
    const others = (one: () => void) => one !== listener
    if (event === 'drain') this.#drainListeners = this.#drainListeners.filter(others)
    else this.#closeListeners = this.#closeListeners.filter(others)
  }

  /** Called by the connection when bytes left `waiting`. */
  progressed(): void {
    this.lastProgress = performance.now()
    if (!this.ended && this.waitingBytes < highWater / 2) for (const listener of this.#drainListeners) listener()
  }

  /** The stream is over; where it is `lost` before its end, an exchange that is still live loses its client. */
  close({ lost }: { readonly lost: boolean }): void {
    if (this.destroyed) return
    this.destroyed = true
    this.waiting = []
    this.waitingBytes = 0
    if (lost) {
      for (const listener of this.#closeListeners) listener()
      if (this.exchange?.connection.live.includes(this.exchange)) this.exchange.fail(clientGone())
    }
    if (lost || !this.remoteEnded) this.source?.destroy()
  }
}
