/**
 * One stream of an HTTP/2 connection of our own framing: its request body coming in, its answer going out.
 */
import { type Duplex, Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import { encodeHead, headBound } from '#/http/hpack.ts'
import { type AcceptedExchange, clientGone } from './accepted.ts'
import { areFieldsSound } from './check-fields.ts'
import { flag, frameHeadBytes, frameType, h2Error, writeFrameHead } from './h2-frames.ts'
import { declaredLength } from './http1-reply.ts'
import { pump, type Sink } from './pump.ts'
import type { Reply, Trailers } from './reply.ts'
import type { RequestBody } from './request-body.ts'

/** What a stream needs of its connection. */
export interface StreamHost {
  readonly peerFrameBytes: number
  /** The Date field's value for now. */
  date(): string
  queue(frame: Buffer): void
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

export class H2Stream implements Reply, Sink {
  readonly id: number
  readonly #host: StreamHost
  sendWindow: number
  receiveWindow: number
  headSent = false
  destroyed = false
  /** The client's side is finished: END_STREAM came. */
  remoteEnded = false
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
  readonly #drainListeners: (() => void)[] = []
  readonly #closeListeners: (() => void)[] = []

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
    this.#queueHead(status, lowerCase(headers.slice()), 0, undefined)
  }

  sendWhole(status: number, _statusText: string | undefined, headers: HeaderList, body: Uint8Array | null): void {
    this.#begin(headers)
    if (body === null || body.length === 0) {
      this.#queueHead(status, headers, flag.endStream, undefined)
      this.ended = true
      this.sentEnd = true
      this.#host.answered(this)
    } else this.#queueHead(status, headers, 0, body)
  }

  async sendStream(
    status: number,
    _statusText: string | undefined,
    headers: HeaderList,
    body: Readable,
    trailers?: Trailers,
  ): Promise<number> {
    this.#begin(headers)
    this.#queueHead(status, headers, 0, undefined)
    const onTrailers = trailers === 'send' ? this.#keepTrailers : undefined
    return pump(body, this, { declared: declaredLength(headers), onStall() {}, onTrailers })
  }

  async switchProtocols(_headers: HeaderList, upgraded: Duplex): Promise<number> {
    upgraded.destroy()
    throw new EdgeError('program_exception', 'HTTP/2 has no 101 (RFC 9113 §8.6).')
  }

  closeAfter(): void {
    this.wantsNoMore = true
  }

  cut(): void {
    if (!this.destroyed) this.#host.resetStream(this, h2Error.internal)
  }

  readonly #keepTrailers = (fields: HeaderList): void => {
    this.trailers = lowerCase(fields.slice())
  }

  /** Behind the last DATA (RFC 9113 §8.1), instead of END_STREAM on it. */
  sendTrailers(): void {
    this.#queueHead(undefined, this.trailers!, flag.endStream, undefined)
  }

  #begin(headers: HeaderList): void {
    if (this.destroyed || this.headSent) throw clientGone()
    this.headSent = true
    lowerCase(headers)
    for (let index = 0; index < headers.length; index += 2) if (headers[index] === 'date') return
    headers.push('date', this.#host.date())
  }

  /** Head, and the body too when it fits into one frame and the windows: one buffer, one write. */
  #queueHead(status: number | undefined, headers: HeaderList, flags: number, body: Uint8Array | undefined): void {
    const host = this.#host
    const frame = Buffer.allocUnsafe(frameHeadBytes + headBound(headers))
    const end = encodeHead(frame, frameHeadBytes, status, headers)
    const block = end - frameHeadBytes
    if (block <= host.peerFrameBytes) {
      writeFrameHead(frame, 0, block, frameType.headers, flags | flag.endHeaders, this.id)
      host.queue(frame.subarray(0, end))
    } else this.#queueInPieces(frame.subarray(frameHeadBytes, end), flags)
    if (body !== undefined) {
      this.waiting.push(body)
      this.waitingBytes += body.length
      this.ended = true
      host.sendWaiting(this)
    }
  }

  /** HEADERS and CONTINUATION (§6.10). */
  #queueInPieces(block: Buffer, flags: number): void {
    const size = this.#host.peerFrameBytes
    for (let at = 0; at < block.length; at += size) {
      const piece = block.subarray(at, at + size)
      const head = Buffer.allocUnsafe(frameHeadBytes)
      const ends = at + size >= block.length ? flag.endHeaders : 0
      writeFrameHead(
        head,
        0,
        piece.length,
        at === 0 ? frameType.headers : frameType.continuation,
        at === 0 ? flags | ends : ends,
        this.id,
      )
      this.#host.queue(Buffer.concat([head, piece]))
    }
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
    const listeners = event === 'drain' ? this.#drainListeners : this.#closeListeners
    listeners.push(listener)
  }

  off(event: 'drain' | 'close', listener: () => void): void {
    const listeners = event === 'drain' ? this.#drainListeners : this.#closeListeners
    const index = listeners.indexOf(listener)
    if (index !== -1) listeners.splice(index, 1)
  }

  /** Called by the connection when bytes left `waiting`. */
  progressed(): void {
    this.lastProgress = performance.now()
    if (!this.ended && this.waitingBytes < highWater / 2) for (const listener of [...this.#drainListeners]) listener()
  }

  /** The stream is over; where it is `lost` before its end, an exchange that is still live loses its client. */
  close({ lost }: { readonly lost: boolean }): void {
    if (this.destroyed) return
    this.destroyed = true
    this.waiting = []
    this.waitingBytes = 0
    if (lost) {
      for (const listener of [...this.#closeListeners]) listener()
      if (this.exchange?.connection.live.includes(this.exchange)) this.exchange.fail(clientGone())
    }
    if (lost || !this.remoteEnded) this.source?.destroy()
  }
}

function lowerCase(headers: HeaderList): HeaderList {
  for (let index = 0; index < headers.length; index += 2) headers[index] = headers[index]!.toLowerCase()
  return headers
}
