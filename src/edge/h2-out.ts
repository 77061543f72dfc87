/**
 * Frames on their way out of an HTTP/2 connection: all of one turn in one write, and no more waiting than the client
 * reads.
 */
import type { Socket } from 'node:net'
import { type Blocks, blockBytes } from './h2-blocks.ts'

/** Bytes written or about to be, beyond which answers wait in their streams. */
const outBytes = 256 * 1024
/** Bytes that a client may leave unread, acknowledgements included, before we stop reading what it sends. */
const unreadBytes = 1024 * 1024

const nothing = Buffer.alloc(0)

export class H2Out {
  readonly #socket: Socket
  readonly #blocks: Blocks
  readonly #onTurn: () => void
  #block: Buffer = nothing
  #used = 0
  #scheduled = false
  #reading = false
  #blockedSince: number | undefined

  /** `onTurn` is called after each write by turn, for bytes that waited for room. */
  constructor(socket: Socket, blocks: Blocks, onTurn: () => void) {
    this.#socket = socket
    this.#blocks = blocks
    this.#onTurn = onTurn
  }

  /** The buffer in which `bytes` follow from `reserved` on; the caller fills all of them at once. */
  reserve(bytes: number): Buffer {
    if (this.#block.length - this.#used < bytes) {
      this.flush()
      this.#block = this.#blocks.take(bytes)
    }
    this.#used += bytes
    if (!this.#scheduled && !this.#reading) this.#schedule()
    return this.#block
  }

  /** Where the last `bytes` that were reserved begin. */
  startOf(bytes: number): number {
    return this.#used - bytes
  }

  queue(frame: Buffer): void {
    if (frame.length > blockBytes) {
      this.flush()
      this.#write(frame, undefined)
    } else this.reserve(frame.length).set(frame, this.#used - frame.length)
  }

  /** What is queued from here on, while bytes of the client are read, waits for `read`. */
  reading(): void {
    this.#reading = true
  }

  /** `answered`: nothing more will be queued for what was read, so it leaves at once. */
  read({ answered }: { readonly answered: boolean }): void {
    this.#reading = false
    if (this.#used === 0 || this.#scheduled) return
    if (answered) this.flush()
    else this.#schedule()
  }

  /**
   * Behind everything that this turn's microtasks do: answers at hand leave in one write. A tick alone would come before
   * microtasks when it is asked for while bytes are read.
   */
  #schedule(): void {
    this.#scheduled = true
    settled.then(this.#afterMicrotasks)
  }

  readonly #afterMicrotasks = (): void => process.nextTick(this.#turn)

  readonly #turn = (): void => {
    this.#scheduled = false
    this.flush()
    this.#onTurn()
  }

  /** Writes what is queued now. */
  flush(): void {
    if (this.#used === 0) return
    const block = this.#block
    const bytes = block.subarray(0, this.#used)
    this.#block = nothing
    this.#used = 0
    this.#write(bytes, () => this.#blocks.give(block))
  }

  #write(bytes: Buffer, done: (() => void) | undefined): void {
    const socket = this.#socket
    if (!socket.writable) {
      done?.()
      return
    }
    if (socket.write(bytes, done)) return
    this.#blockedSince ??= performance.now()
    if (socket.writableLength > unreadBytes) socket.pause()
  }

  /** False while enough is on its way that answers should wait in their streams. */
  get hasRoom(): boolean {
    return this.#used + this.#socket.writableLength < outBytes
  }

  /** Since when the client has not read what was written; undefined while it does. */
  get blockedSince(): number | undefined {
    return this.#blockedSince
  }

  /** The socket took everything it was given. */
  drained(): void {
    this.#blockedSince = undefined
    if (this.#socket.isPaused()) this.#socket.resume()
  }
}

const settled = Promise.resolve()
