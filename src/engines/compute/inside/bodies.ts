/** Bodies as a program holds them: bytes in memory, bytes that still arrive, or a way out that it writes to. */
import type { HeaderList } from '#/core/exchange.ts'
import { InBody } from '../wire-body.ts'
import type { BodyOut } from './framing.ts'
import { refuse, status } from './status.ts'

/** Longer bodies are sent as streams. */
const wholeBytes = 1024 * 1024

/** A body that is read, or built to be sent. */
export class GuestBody {
  /** In order. Bytes of the program are copied when they are taken in. */
  readonly #parts: (Uint8Array | InBody)[] = []
  readonly #cap: number
  #held = 0
  trailers: HeaderList = []
  /** From `Content-Length` of what arrives: bytes still to come. */
  announced: number | undefined

  /** `cap`: bytes of it that may lie in memory. */
  constructor(cap: number, source: InBody | Uint8Array | null = null) {
    this.#cap = cap
    if (source !== null) this.#parts.push(source)
  }

  /** Throws `limit exceeded`. `bytes` must not change any more. */
  push(bytes: Uint8Array, where: 'back' | 'front' = 'back'): void {
    if (bytes.length === 0) return
    this.#held += bytes.length
    if (this.#held > this.#cap) refuse(status.limitExceeded, 'the body is too large')
    if (where === 'back') this.#parts.push(bytes)
    else this.#parts.unshift(bytes)
  }

  /** Takes over all of the other body. */
  append(other: GuestBody): void {
    const arriving = (parts: readonly (Uint8Array | InBody)[]) => parts.some((part) => part instanceof InBody)
    if (arriving(other.#parts)) this.announced = arriving(this.#parts) ? undefined : other.announced
    this.#parts.push(...other.#parts.splice(0))
    this.#held += other.#held
    other.#held = 0
    if (this.#held > this.#cap) refuse(status.limitExceeded, 'the body is too large')
  }

  /** Up to `most` bytes; null at the end. Rejects with the arriving body's error. */
  read(most: number): Uint8Array | null | Promise<Uint8Array | null> {
    for (;;) {
      const part = this.#parts[0]
      if (part === undefined) return null
      if (part instanceof InBody) {
        const chunk = part.read()
        if (chunk instanceof Promise) return chunk.then((bytes) => this.#arrived(part, bytes, most))
        if (chunk === null) this.#ended(part)
        else this.#took(chunk)
        continue
      }
      if (part.length <= most) {
        this.#parts.shift()
        this.#held = Math.max(0, this.#held - part.length)
        if (part.length > 0) return part
        continue
      }
      this.#parts[0] = part.subarray(most)
      this.#held = Math.max(0, this.#held - most)
      return part.subarray(0, most)
    }
  }

  #arrived(part: InBody, bytes: Uint8Array | null, most: number): Uint8Array | null | Promise<Uint8Array | null> {
    if (bytes !== null) this.#took(bytes)
    else this.#ended(part)
    return this.read(most)
  }

  #took(bytes: Uint8Array): void {
    this.#parts.unshift(bytes)
    if (this.announced !== undefined) this.announced = Math.max(0, this.announced - bytes.length)
  }

  #ended(part: InBody): void {
    this.#parts.shift()
    if (part.trailers !== undefined) this.trailers.push(...part.trailers)
  }

  /** Bytes when they are all there and few enough for one frame; undefined while some still arrive. */
  whole(): Uint8Array | undefined {
    if (this.#held > wholeBytes || this.#parts.some((part) => part instanceof InBody)) return undefined
    return this.#parts.length === 1 ? (this.#parts[0] as Uint8Array) : Buffer.concat(this.#parts as Uint8Array[])
  }

  /** Bytes of it that lie in this process. */
  get heldBytes(): number {
    return this.#held
  }

  /** Undefined where it cannot be known before the end. */
  get length(): number | undefined {
    let sum = 0
    for (const part of this.#parts) {
      if (!(part instanceof InBody)) sum += part.length
      else if (this.announced === undefined) return undefined
      else sum += this.announced
    }
    return sum
  }

  /** All of it was read, or there is none. Trailers may be read from then on. */
  get ended(): boolean {
    return this.#parts.length === 0
  }

  get ready(): boolean {
    const part = this.#parts[0]
    return !(part instanceof InBody) || part.ready
  }

  whenReady(callback: () => void): void {
    const part = this.#parts[0]
    if (part instanceof InBody) part.whenReady(callback)
    else callback()
  }

  /** Nobody reads the rest. */
  drop(): void {
    for (const part of this.#parts.splice(0)) if (part instanceof InBody) part.cancel()
  }

  /** Sends all of it, then what `then` says; errors of what arrives break the way out off. */
  async pumpTo(out: BodyOut, finish: boolean): Promise<void> {
    // Whoever waits for more of what arrives need not, once nobody takes it.
    out.onCut = () => this.drop()
    try {
      for (;;) {
        const bytes = await this.read(65_536)
        if (bytes === null) break
        if (out.cutReason !== undefined) return this.drop()
        await out.write(bytes)
      }
      if (finish) out.end(this.trailers.length > 0 ? this.trailers : undefined)
    } catch (error) {
      out.fail((error as Error).message)
    }
  }
}

/** A body that was handed over for streaming: only writes, `close` and `abandon` are left. */
export class StreamingBody {
  readonly out: BodyOut
  trailers: HeaderList = []
  /** What must be sent before the next write: bodies that were appended. */
  queue: Promise<void> | undefined

  constructor(out: BodyOut) {
    this.out = out
  }

  /** Sends something after all that was queued before. */
  after(task: () => Promise<void>): void {
    const queue = (this.queue ?? Promise.resolve()).then(task).then(() => {
      if (this.queue === queue) this.queue = undefined
    })
    this.queue = queue
  }

  get ready(): boolean {
    return this.queue === undefined && this.out.ready
  }

  whenReady(callback: () => void): void {
    if (this.queue !== undefined) this.queue.then(() => this.whenReady(callback))
    else this.out.whenReady(callback)
  }
}
