/**
 * The streams of one HTTP/2 connection: which are open, what each may send and receive (RFC 9113 §5.1, §5.2), and the
 * bytes on their way out.
 */
import type { Socket } from 'node:net'
import { EdgeError } from '#/core/errors.ts'
import { headerValue } from '#/http/header-list.ts'
import { createHpackDecoder } from '#/http/hpack.ts'
import { AcceptedExchange, type Connection, noHead } from './accepted.ts'
import type { Front } from './front.ts'
import { type Budget, createBudget, createRecent } from './h2-budget.ts'
import { areTrailersSound, readFields, readRequest } from './h2-fields.ts'
import {
  connectionFault,
  defaultWindow,
  type Fault,
  flag,
  frameBytes,
  frameHeadBytes,
  frameType,
  h2Error,
  largestWindow,
  numbersFrame,
  type PeerSettings,
  streamFault,
  writeFrameHead,
} from './h2-frames.ts'
import { createH2Out, type H2Out } from './h2-out.ts'
import { H2Stream, type StreamHost } from './h2-stream.ts'
import { createReceiveWindow } from './h2-window.ts'
import { endAndLinger } from './linger.ts'
import { createRequestBody, type RequestBody } from './request-body.ts'

const framesATurn = 4

export class H2Streams implements StreamHost {
  readonly streamWindow = 256 * 1024
  readonly peer: PeerSettings = { window: defaultWindow, frameBytes }
  /** Nothing is read or sent any more. */
  over = false
  readonly #front: Front
  readonly #socket: Socket
  readonly #connection: Connection
  readonly #control: Budget
  /** RFC 9113 §10.5: streams that one side resets, whichever (CVE-2023-44487, CVE-2025-8671). */
  readonly #resets = createBudget(200, 33)
  readonly #hpack: ReturnType<typeof createHpackDecoder>
  readonly #streams = new Map<number, H2Stream>()
  /** Their last frames may still come. */
  readonly #resetLately = createRecent(200)
  readonly #closedLately = createRecent(200)
  #lastStream = 0
  #sendWindow = defaultWindow
  readonly #receiveWindow = createReceiveWindow((frame) => this.queue(frame))
  readonly #out: H2Out
  /** Streams have bytes that only wait for the socket, not for a window. */
  #held = false
  #goingAway = false
  #lastActive = performance.now()

  constructor(front: Front, socket: Socket, connection: Connection, control: Budget) {
    this.#front = front
    this.#socket = socket
    this.#connection = connection
    this.#control = control
    this.#out = createH2Out(socket, this.#onTurn)
    const { limits } = front
    this.#hpack = createHpackDecoder({
      tableBytes: 4096,
      listBytes: limits.headerBytes + limits.urlBytes,
      listCount: limits.headerCount + 8,
    })
  }

  get peerFrameBytes(): number {
    // Small frames let streams take turns.
    return Math.min(this.peer.frameBytes, frameBytes)
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
    this.#lastStream = id
    this.#lastActive = performance.now()
    const most = this.#front.limits.streamsPerConnection
    // Streams that were reset may still have work behind them: `live` counts that.
    if (this.#goingAway || this.#streams.size >= most || this.#connection.live.length >= most)
      return streamFault(h2Error.refusedStream, 'too many streams')
    const read = readFields(decoded.fields)
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
    const pseudo = read?.pseudo ?? { method: '', scheme: '', authority: undefined, path: '' }
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
    const body = refusal !== undefined || ended ? null : this.#bodyOf(stream, declared, expect !== undefined)
    const exchange = new AcceptedExchange(this.#connection, {
      startedAt: this.#front.clock(),
      startedTick: this.#lastActive,
      method: pseudo.method,
      httpVersion: '2',
      headers,
      head: head instanceof EdgeError ? { ...noHead, path: pseudo.path } : head,
      body,
    })
    stream.exchange = exchange
    if (refusal !== undefined) this.#front.refuse(exchange, stream, refusal)
    else {
      this.#connection.live.push(exchange)
      this.#front.serve(exchange, stream)
    }
    return undefined
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
    this.queue(numbersFrame(frameType.goaway, 0, this.#lastStream, fault.code))
    this.#out.flush()
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
    this.queue(numbersFrame(frameType.reset, id, code))
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
    this.over = true
    for (const stream of [...this.#streams.values()]) this.#remove(stream, { lost: true })
  }

  /** No new streams; the connection ends with the last one (§6.8). */
  goAway(): void {
    if (this.#goingAway || this.over) return
    this.#goingAway = true
    this.queue(numbersFrame(frameType.goaway, 0, this.#lastStream, h2Error.none))
    for (const stream of [...this.#streams.values()]) if (stream.sentEnd) this.#stopBody(stream)
    if (this.#streams.size === 0) this.#end()
  }

  #end(): void {
    this.#out.flush()
    this.over = true
    this.#socket.destroySoon()
  }

  // ─── Windows ─────────────────────────────────────────────────────────────────────────────────────────────────

  openWindow(): void {
    this.#receiveWindow.open()
  }

  credit(stream: H2Stream, bytes: number): void {
    stream.receiveWindow += bytes
    this.queue(numbersFrame(frameType.window, stream.id, bytes))
    this.#receiveWindow.credit(bytes)
  }

  onWindow(id: number, increment: number): Fault | undefined {
    if (id === 0) {
      if (increment === 0) return connectionFault(h2Error.protocol, 'a window of nothing')
      this.#sendWindow += increment
      if (this.#sendWindow > largestWindow) return connectionFault(h2Error.flowControl, 'a window above 2^31-1')
      this.#sendAll()
      return undefined
    }
    if (id > this.#lastStream || id % 2 === 0)
      return connectionFault(h2Error.protocol, 'WINDOW_UPDATE on an idle stream')
    const stream = this.#streams.get(id)
    if (stream === undefined) return undefined
    if (increment === 0) return streamFault(h2Error.protocol, 'a window of nothing')
    stream.sendWindow += increment
    if (stream.sendWindow > largestWindow) return streamFault(h2Error.flowControl, 'a window above 2^31-1')
    this.sendWaiting(stream)
    return undefined
  }

  /** A new SETTINGS_INITIAL_WINDOW_SIZE holds for streams already open too (§6.9.2). */
  changeWindows(change: number): Fault | undefined {
    if (change === 0) return undefined
    for (const stream of this.#streams.values()) {
      stream.sendWindow += change
      if (stream.sendWindow > largestWindow) return connectionFault(h2Error.flowControl, 'a window above 2^31-1')
    }
    if (change > 0) this.#sendAll()
    return undefined
  }

  // ─── On the way out ──────────────────────────────────────────────────────────────────────────────────────────

  queue(frame: Buffer): void {
    if (!this.over) this.#out.queue(frame)
  }

  readonly #onTurn = (): void => {
    if (this.#held && !this.#socket.writableNeedDrain) this.#sendAll()
  }

  onDrain(): void {
    this.#out.drained()
    this.#sendAll()
  }

  sendWaiting(stream: H2Stream): void {
    for (let frames = 0; frames < framesATurn; frames++) if (!this.#sendOne(stream)) return
    this.#held = true
  }

  /** One frame of each stream in turn, while windows and the socket allow. */
  #sendAll(): void {
    this.#held = false
    for (let progress = true; progress; ) {
      progress = false
      for (const stream of [...this.#streams.values()]) if (this.#sendOne(stream)) progress = true
    }
  }

  #sendOne(stream: H2Stream): boolean {
    if (stream.destroyed || stream.sentEnd || !stream.headSent) return false
    if (stream.waitingBytes === 0 && !stream.ended) return false
    if (!this.#out.hasRoom || this.over) {
      this.#held = true
      return false
    }
    const first = stream.waiting[0]
    const size = Math.min(first?.length ?? 0, this.peerFrameBytes, stream.sendWindow, this.#sendWindow)
    if (first !== undefined && size <= 0) return false
    if (first !== undefined) {
      if (size === first.length) stream.waiting.shift()
      else stream.waiting[0] = first.subarray(size)
      stream.waitingBytes -= size
      stream.sendWindow -= size
      this.#sendWindow -= size
    }
    const ends = stream.ended && stream.waitingBytes === 0
    const frame = Buffer.allocUnsafe(frameHeadBytes + size)
    writeFrameHead(frame, 0, size, frameType.data, ends ? flag.endStream : 0, stream.id)
    if (first !== undefined) frame.set(size === first.length ? first : first.subarray(0, size), frameHeadBytes)
    this.queue(frame)
    // A client that takes what it asked for updates its windows for it.
    this.#control.earn(2)
    stream.sentEnd = ends
    if (ends) this.answered(stream)
    else stream.progressed()
    return true
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
    const { blockedSince } = this.#out
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
