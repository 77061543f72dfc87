/**
 * The streams of one HTTP/2 connection: which are open, what each may send and receive (RFC 9113 §5.1, §5.2), and the
 * bytes on their way out.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import { headerValue } from '#/http/header-list.ts'
import { createHpackDecoder } from '#/http/hpack.ts'
import { AcceptedExchange, type Connection, noHead } from './accepted.ts'
import type { Front } from './front.ts'
import type { Blocks } from './h2-blocks.ts'
import { type Budget, createBudget, createRecent } from './h2-budget.ts'
import { areTrailersSound, type Pseudo, readFields, readRequest, websocketFields } from './h2-fields.ts'
import {
  connectionFault,
  defaultWindow,
  type Fault,
  flag,
  frameType,
  h2Error,
  type PeerSettings,
  streamFault,
} from './h2-frames.ts'
import { H2Sender } from './h2-send.ts'
import { H2Stream, type StreamHost } from './h2-stream.ts'
import { createReceiveWindow } from './h2-window.ts'
import { endAndLinger } from './linger.ts'
import { createRequestBody, type RequestBody } from './request-body.ts'

/** Of a request whose fields could not be kept. */
const noPseudo: Pseudo = { method: '', scheme: '', authority: undefined, path: '', protocol: undefined }

export interface StreamsOptions {
  readonly control: Budget
  readonly blocks: Blocks
}

export class H2Streams implements StreamHost {
  readonly streamWindow = 256 * 1024
  readonly peer: PeerSettings = { window: defaultWindow }
  readonly sender: H2Sender
  readonly #front: Front
  readonly #socket: Socket
  readonly #connection: Connection
  /** RFC 9113 §10.5: streams that one side resets, whichever (CVE-2023-44487, CVE-2025-8671). */
  readonly #resets = createBudget(200, 33)
  readonly #hpack: ReturnType<typeof createHpackDecoder>
  readonly #streams = new Map<number, H2Stream>()
  /** Their last frames may still come. */
  readonly #resetLately = createRecent(200)
  readonly #closedLately = createRecent(200)
  #lastStream = 0
  #lastFields: readonly string[] = []
  readonly #receiveWindow = createReceiveWindow((frame) => this.sender.queue(frame))
  #goingAway = false
  #lastActive = performance.now()

  constructor(front: Front, socket: Socket, connection: Connection, { control, blocks }: StreamsOptions) {
    this.#front = front
    this.#socket = socket
    this.#connection = connection
    const onAnswered = (stream: H2Stream) => this.answered(stream)
    this.sender = new H2Sender({ socket, blocks, streams: this.#streams, control, onAnswered })
    const { limits } = front
    this.#hpack = createHpackDecoder({
      tableBytes: 4096,
      listBytes: limits.headerBytes + limits.urlBytes,
      listCount: limits.headerCount + 8,
    })
  }

  /** Nothing is read or sent any more. */
  get over(): boolean {
    return this.sender.over
  }

  date(): string {
    return this.#front.httpDate()
  }

  // ─── Requests ────────────────────────────────────────────────────────────────────────────────────────────────

  /** A whole header block: a new request, or trailers. */
  onBlock(id: number, flags: number, block: Buffer): Fault | undefined {
    const decoded = this.#hpack.decode(block)
    if (decoded === undefined) return connectionFault(h2Error.compression, 'a header block that is no HPACK')
    const ended = (flags & flag.endStream) !== 0
    const stream = this.#streams.get(id)
    if (stream !== undefined) return this.#onTrailers(stream, decoded.fields, ended)
    if (id <= this.#lastStream) return this.#onLateHeaders(id)
    if (this.#lastStream === 0) this.#connection.prints.h2?.end(decoded.fields)
    this.#lastStream = id
    this.#lastActive = performance.now()
    const most = this.#front.limits.streamsPerConnection
    // Streams that were reset may still have work behind them: `live` counts that.
    if (this.#goingAway || this.#streams.size >= most || this.#connection.live.length >= most)
      return streamFault(h2Error.refusedStream, 'too many streams')
    const read = readFields(decoded.fields, this.#lastFields)
    if (read !== undefined) this.#lastFields = decoded.fields
    if (read === undefined && !decoded.tooLarge) return streamFault(h2Error.protocol, 'malformed fields')
    return this.#accept(id, read, ended, decoded.tooLarge)
  }

  /** §5.1.1: a stream that was never opened is closed by a later one being opened. */
  #onLateHeaders(id: number): Fault | undefined {
    if (this.#resetLately.has(id)) return undefined
    const code = this.#closedLately.has(id) ? h2Error.streamClosed : h2Error.protocol
    return connectionFault(code, 'HEADERS on a stream of the past')
  }

  #onTrailers(stream: H2Stream, fields: readonly string[], ended: boolean): Fault | undefined {
    if (stream.remoteEnded) return streamFault(h2Error.streamClosed, 'HEADERS behind the end')
    if (!ended || !areTrailersSound(fields)) return streamFault(h2Error.protocol, 'malformed trailers')
    return this.#endRequest(stream)
  }

  #accept(id: number, read: ReturnType<typeof readFields>, ended: boolean, tooLarge: boolean): Fault | undefined {
    const { limits } = this.#front
    const pseudo = read?.pseudo ?? noPseudo
    const headers = read?.headers ?? []
    const expect = headerValue(headers, 'expect')?.toLowerCase()
    const head = readRequest(pseudo, headers, { limits, ended, tooLarge, expect })
    const refusal = head instanceof EdgeError ? head : undefined
    const declared = head instanceof EdgeError ? undefined : head.contentLength
    if (ended && declared !== undefined && declared !== 0)
      return streamFault(h2Error.protocol, 'a body that never comes')
    const stream = new H2Stream(id, this, { send: this.peer.window, receive: this.streamWindow }, !ended)
    stream.declared = declared
    this.#streams.set(id, stream)
    const joins = refusal === undefined && pseudo.protocol !== undefined
    stream.asksForWebSocket = joins
    stream.wantsNoMore = joins
    const hasBody = refusal === undefined && !ended && !joins
    const exchange = new AcceptedExchange(this.#connection, {
      startedAt: this.#front.clock(),
      startedTick: this.#lastActive,
      method: joins ? 'GET' : pseudo.method,
      httpVersion: '2',
      headers: joins ? websocketFields(headers, randomBytes(16).toString('base64')) : headers,
      head: head instanceof EdgeError ? { ...noHead, path: pseudo.path } : head,
      body: hasBody ? this.#bodyOf(stream, declared, expect !== undefined) : null,
    })
    this.#serve(exchange, stream, refusal)
    return undefined
  }

  #serve(exchange: AcceptedExchange, stream: H2Stream, refusal: EdgeError | undefined): void {
    stream.exchange = exchange
    if (refusal !== undefined) this.#front.refuse(exchange, stream, refusal)
    else {
      this.#connection.live.push(exchange)
      this.#front.serve(exchange, stream)
    }
  }

  #bodyOf(stream: H2Stream, declaredBytes: number | undefined, continues: boolean): RequestBody {
    const body = createRequestBody(stream.source!, {
      declaredBytes,
      limitBytes: this.#front.limits.requestBodyBytes,
      onStart: () => {
        if (continues) stream.informational(100, [])
      },
      onWait: () => {
        stream.lastProgress = performance.now()
      },
      onFail: (error) => {
        stream.closeAfter()
        stream.exchange?.fail(error)
        if (stream.headSent) stream.cut()
      },
    })
    stream.body = body
    return body
  }

  onData(id: number, bytes: Buffer, frameLength: number, ended: boolean): Fault | undefined {
    if (!this.#receiveWindow.take(frameLength))
      return connectionFault(h2Error.flowControl, 'more than the window of the connection')
    const stream = this.#streams.get(id)
    if (stream === undefined) return this.#onLateData(id, frameLength)
    if (stream.remoteEnded) {
      this.#receiveWindow.credit(frameLength)
      return streamFault(h2Error.streamClosed, 'DATA behind the end')
    }
    const tooLong = stream.declared !== undefined && stream.received + bytes.length > stream.declared
    if (frameLength > stream.receiveWindow || tooLong) {
      this.#receiveWindow.credit(frameLength)
      return streamFault(tooLong ? h2Error.protocol : h2Error.flowControl, 'more than declared or allowed')
    }
    stream.receive(bytes, frameLength)
    if (ended) return this.#endRequest(stream)
    if (stream.sentEnd && stream.wantsNoMore && this.#isTooMuch(stream)) this.#stopBody(stream)
    return undefined
  }

  #onLateData(id: number, frameLength: number): Fault | undefined {
    if (id > this.#lastStream || id % 2 === 0) return connectionFault(h2Error.protocol, 'DATA on an idle stream')
    this.#receiveWindow.credit(frameLength)
    return this.#resetLately.has(id) ? undefined : streamFault(h2Error.streamClosed, 'DATA on a closed stream')
  }

  #endRequest(stream: H2Stream): Fault | undefined {
    if (stream.declared !== undefined && stream.received !== stream.declared)
      return streamFault(h2Error.protocol, 'a body that is not as long as declared')
    stream.endOfBody()
    if (stream.sentEnd) this.#remove(stream, { lost: false })
    return undefined
  }

  onReset(id: number): Fault | undefined {
    if (id > this.#lastStream || id % 2 === 0) return connectionFault(h2Error.protocol, 'RST_STREAM on an idle stream')
    if (!this.#resets.spend(performance.now())) return connectionFault(h2Error.calm, 'too many streams reset')
    const stream = this.#streams.get(id)
    if (stream !== undefined) this.#remove(stream, { lost: true })
    // Frames behind our own reset may have been on their way; behind the client's nothing may follow (§5.1).
    else this.#resetLately.delete(id)
    return undefined
  }

  // ─── Faults ──────────────────────────────────────────────────────────────────────────────────────────────────

  punish(fault: Fault, id: number): void {
    const calm = fault.scope === 'stream' && !this.#resets.spend(performance.now())
    if (calm || fault.scope === 'connection') {
      this.fail(calm ? connectionFault(h2Error.calm, 'too many streams reset') : fault)
      return
    }
    const stream = this.#streams.get(id)
    if (stream !== undefined) this.resetStream(stream, fault.code)
    else this.#queueReset(id, fault.code)
  }

  /** GOAWAY with its reason (§5.4.1), then the end. */
  fail(fault: Fault): void {
    if (this.over) return
    this.sender.queueNumbers(frameType.goaway, 0, this.#lastStream, fault.code)
    this.sender.flush()
    this.loseAll()
    // Who floods us is not listened to any longer.
    if (fault.code === h2Error.calm) this.#socket.destroySoon()
    else endAndLinger(this.#socket, this.#front.limits.lingerMs)
  }

  resetStream(stream: H2Stream, code: number): void {
    this.#queueReset(stream.id, code)
    this.#remove(stream, { lost: true })
  }

  #queueReset(id: number, code: number): void {
    this.sender.queueNumbers(frameType.reset, id, code)
    this.#resetLately.add(id)
  }

  #remove(stream: H2Stream, how: { readonly lost: boolean }): void {
    if (!this.#streams.delete(stream.id)) return
    this.#closedLately.add(stream.id)
    this.#receiveWindow.credit(stream.uncredited())
    stream.close(how)
    this.#lastActive = performance.now()
    if (this.#goingAway && this.#streams.size === 0) this.#end()
  }

  loseAll(): void {
    this.sender.over = true
    for (const stream of [...this.#streams.values()]) this.#remove(stream, { lost: true })
  }

  /** No new streams; the connection ends with the last one (§6.8). */
  goAway(): void {
    if (this.#goingAway || this.over) return
    this.#goingAway = true
    this.sender.queueNumbers(frameType.goaway, 0, this.#lastStream, h2Error.none)
    for (const stream of [...this.#streams.values()]) if (stream.sentEnd) this.#stopBody(stream)
    if (this.#streams.size === 0) this.#end()
  }

  #end(): void {
    this.sender.flush()
    this.sender.over = true
    this.#socket.destroySoon()
  }

  // ─── Windows ─────────────────────────────────────────────────────────────────────────────────────────────────

  openWindow(): void {
    this.#receiveWindow.open()
  }

  credit(stream: H2Stream, bytes: number): void {
    stream.receiveWindow += bytes
    this.sender.queueNumbers(frameType.window, stream.id, bytes)
    this.#receiveWindow.credit(bytes)
  }

  onWindow(id: number, increment: number): Fault | undefined {
    if (id === 0) return this.sender.openWindow(increment)
    if (id > this.#lastStream || id % 2 === 0)
      return connectionFault(h2Error.protocol, 'WINDOW_UPDATE on an idle stream')
    const stream = this.#streams.get(id)
    return stream && this.sender.openStreamWindow(stream, increment)
  }

  // ─── On the way out ──────────────────────────────────────────────────────────────────────────────────────────

  sendHead(stream: number, flags: number, status: number, headers: HeaderList): void {
    this.sender.sendHead(stream, flags, status, headers)
  }

  sendBlock(stream: number, flags: number, block: string): void {
    this.sender.sendBlock(stream, flags, block)
  }

  sendWaiting(stream: H2Stream): void {
    this.sender.sendWaiting(stream)
  }

  /** The rest of a small body is awaited and dropped: clients take an end better than a reset behind an answer (§8.1). */
  answered(stream: H2Stream): void {
    if (stream.remoteEnded) this.#remove(stream, { lost: false })
    else if (stream.wantsNoMore && (this.#goingAway || this.#isTooMuch(stream))) this.#stopBody(stream)
    else stream.source?.resume()
  }

  #isTooMuch(stream: H2Stream): boolean {
    const { unreadBodyBytes } = this.#front.limits
    return stream.received > unreadBodyBytes || (stream.declared ?? 0) - stream.received > unreadBodyBytes
  }

  #stopBody(stream: H2Stream): void {
    this.#queueReset(stream.id, h2Error.none)
    this.#remove(stream, { lost: false })
  }

  // ─── Time ────────────────────────────────────────────────────────────────────────────────────────────────────

  endIfStuck(now: number): void {
    const { keepAliveTimeoutMs, responseIdleTimeoutMs, bodyIdleTimeoutMs } = this.#front.limits
    const { blockedSince } = this.sender
    if (blockedSince !== undefined && now - blockedSince > responseIdleTimeoutMs) {
      this.#socket.destroy()
      return
    }
    if (this.#streams.size === 0 && now - this.#lastActive > keepAliveTimeoutMs) this.goAway()
    for (const stream of [...this.#streams.values()]) {
      const silence = now - stream.lastProgress
      if (stream.waitingBytes > 0 && silence > responseIdleTimeoutMs) this.resetStream(stream, h2Error.cancel)
      else if (stream.body?.waiting === true && silence > bodyIdleTimeoutMs) stream.body.timeOut()
      else if (stream.sentEnd && silence > bodyIdleTimeoutMs) this.resetStream(stream, h2Error.none)
    }
  }
}
