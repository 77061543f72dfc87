/**
 * What leaves an HTTP/2 connection: heads at once, bodies as far as the windows (RFC 9113 §5.2) and the socket allow.
 */
import type { Socket } from 'node:net'
import type { HeaderList } from '#/core/exchange.ts'
import { headBlock } from '#/http/hpack.ts'
import type { Blocks } from './h2-blocks.ts'
import type { Budget } from './h2-budget.ts'
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
  streamFault,
  writeFrameHead,
} from './h2-frames.ts'
import { H2Out } from './h2-out.ts'
import type { H2Stream } from './h2-stream.ts'

const framesATurn = 4

export interface SenderOptions {
  readonly socket: Socket
  readonly blocks: Blocks
  readonly streams: ReadonlyMap<number, H2Stream>
  /** A client that takes what it asked for updates its windows for it. */
  readonly control: Budget
  /** The last byte of an answer is out. */
  readonly onAnswered: (stream: H2Stream) => void
}

export class H2Sender {
  readonly #socket: Socket
  readonly #streams: ReadonlyMap<number, H2Stream>
  readonly #control: Budget
  readonly #onAnswered: (stream: H2Stream) => void
  readonly #out: H2Out
  #window = defaultWindow
  /** Streams have bytes that only wait for the socket, not for a window. */
  #held = false
  /** Nothing is sent any more. */
  over = false

  constructor({ socket, blocks, streams, control, onAnswered }: SenderOptions) {
    this.#socket = socket
    this.#streams = streams
    this.#control = control
    this.#onAnswered = onAnswered
    this.#out = new H2Out(socket, blocks, this.#onTurn)
  }

  queue(frame: Buffer): void {
    if (!this.over) this.#out.queue(frame)
  }

  /** RST_STREAM, GOAWAY, WINDOW_UPDATE. */
  queueNumbers(type: number, stream: number, ...numbers: readonly number[]): void {
    this.queue(numbersFrame(type, stream, ...numbers))
  }

  flush(): void {
    this.#out.flush()
  }

  reading(): void {
    this.#out.reading()
  }

  /** What was read is dealt with; without streams that are open nothing else is to come for now. */
  read(): void {
    this.#out.read({ answered: this.#streams.size === 0 })
  }

  get blockedSince(): number | undefined {
    return this.#out.blockedSince
  }

  onDrain(): void {
    this.#out.drained()
    this.#sendAll()
  }

  readonly #onTurn = (): void => {
    if (this.#held && !this.#socket.writableNeedDrain) this.#sendAll()
  }

  // ─── Windows ─────────────────────────────────────────────────────────────────────────────────────────────────

  openWindow(increment: number): Fault | undefined {
    if (increment === 0) return connectionFault(h2Error.protocol, 'a window of nothing')
    this.#window += increment
    if (this.#window > largestWindow) return connectionFault(h2Error.flowControl, 'a window above 2^31-1')
    this.#sendAll()
    return undefined
  }

  openStreamWindow(stream: H2Stream, increment: number): Fault | undefined {
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

  // ─── Frames ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Without a status: trailers. */
  sendHead(stream: number, flags: number, status: number | undefined, headers: HeaderList): void {
    this.sendBlock(stream, flags, headBlock(status, headers))
  }

  /** A block as Latin-1 text. */
  sendBlock(stream: number, flags: number, block: string): void {
    if (this.over) return
    // Every client takes frames so large (§4.2).
    for (let from = 0; from < block.length; from += frameBytes) {
      const piece = block.length <= frameBytes ? block : block.slice(from, from + frameBytes)
      const size = frameHeadBytes + piece.length
      const buffer = this.#out.reserve(size)
      const type = from === 0 ? frameType.headers : frameType.continuation
      const ends = from + frameBytes >= block.length ? flag.endHeaders : 0
      const all = from === 0 ? flags | ends : ends
      const at = writeFrameHead(buffer, this.#out.startOf(size), piece.length, type, all, stream)
      buffer.write(piece, at, 'latin1')
    }
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
    const size = first === undefined ? 0 : Math.min(first.length, frameBytes, stream.sendWindow, this.#window)
    if (first !== undefined && size <= 0) return false
    stream.waitingBytes -= size
    const ends = stream.ended && stream.waitingBytes === 0
    const trailers = ends ? stream.trailers : undefined
    if (first !== undefined || trailers === undefined) {
      const buffer = this.#out.reserve(frameHeadBytes + size)
      const at = this.#out.startOf(frameHeadBytes + size)
      const flags = ends && trailers === undefined ? flag.endStream : 0
      const payload = writeFrameHead(buffer, at, size, frameType.data, flags, stream.id)
      if (first !== undefined) this.#fill(buffer, payload, stream, first, size)
    }
    // RFC 9113 §8.1: behind the last DATA, instead of END_STREAM on it.
    if (trailers !== undefined) this.sendHead(stream.id, flag.endStream, undefined, trailers)
    this.#control.earn(2)
    stream.sentEnd = ends
    if (ends) this.#onAnswered(stream)
    else stream.progressed()
    return true
  }

  #fill(buffer: Buffer, at: number, stream: H2Stream, first: Uint8Array, size: number): void {
    const whole = size === first.length
    buffer.set(whole ? first : first.subarray(0, size), at)
    if (whole) stream.waiting.shift()
    else stream.waiting[0] = first.subarray(size)
    stream.sendWindow -= size
    this.#window -= size
  }
}
