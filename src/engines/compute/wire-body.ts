/** Bodies on the line between a node and a Compute cell: what arrives is pulled, what leaves waits for credit. */
import { Readable } from 'node:stream'
import { setTrailers, trailersOf } from '#/core/trailers.ts'
import type { Bytes } from '#/core/units.ts'

/** Bytes that arrive. One reader; `read` gives what is there, or waits. */
export class InBody {
  readonly #chunks: Uint8Array[] = []
  readonly #line: { consumed(bytes: number): void; cancelled(): void }
  #over: 'no' | 'ended' | 'broken' | 'cancelled' = 'no'
  #reason = ''
  readonly #waiting: (() => void)[] = []
  /** There after the end, where the sender gave some. */
  trailers: readonly string[] | undefined

  constructor(line: { consumed(bytes: number): void; cancelled(): void }) {
    this.#line = line
  }

  /** At least one byte, or null at the end. Throws (at once, or by rejecting) when the sender broke off. */
  read(): Uint8Array | null | Promise<Uint8Array | null> {
    const chunk = this.#chunks.shift()
    if (chunk !== undefined) {
      if (this.#over === 'no') this.#line.consumed(chunk.length)
      return chunk
    }
    if (this.#over === 'ended') return null
    if (this.#over !== 'no') throw new Error(this.#reason)
    return new Promise<void>((resolve) => this.#waiting.push(resolve)).then(() => this.read())
  }

  /** All of it is here, read or not. */
  get ended(): boolean {
    return this.#over === 'ended'
  }

  /** Can `read` answer at once? */
  get ready(): boolean {
    return this.#chunks.length > 0 || this.#over !== 'no'
  }

  /** Calls back once `ready` is true. */
  whenReady(callback: () => void): void {
    if (this.ready) callback()
    else this.#waiting.push(callback)
  }

  cancel(): void {
    if (this.#over === 'no') {
      this.#finish('cancelled', 'cancelled')
      this.#line.cancelled()
    }
    this.#chunks.length = 0
  }

  /** @internal The line's side. */
  push(bytes: Uint8Array): void {
    if (this.#over !== 'no') return
    this.#chunks.push(bytes)
    this.#wake()
  }

  /** @internal */
  end(trailers: readonly string[] | undefined): void {
    this.trailers = trailers
    this.#finish('ended', '')
  }

  /** @internal */
  break(reason: string): void {
    this.#finish('broken', reason)
  }

  #finish(how: 'ended' | 'broken' | 'cancelled', reason: string): void {
    if (this.#over !== 'no') return
    this.#over = how
    this.#reason = reason
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** Longer writes leave in several frames. */
const pieceBytes = 256 * 1024

/** Bytes that leave. */
export class OutBody {
  readonly #line: { data(bytes: Uint8Array): void; end(trailers?: readonly string[]): void; fail(reason: string): void }
  #credit: number
  #over = false
  #waiting: (() => void)[] = []
  /** Set when nobody reads any more: more bytes are thrown away. */
  cutReason: string | undefined
  /** The reader is gone, or the body was broken off: what feeds it may stop. */
  onCut: (() => void) | undefined

  constructor(
    windowBytes: number,
    line: { data(bytes: Uint8Array): void; end(trailers?: readonly string[]): void; fail(reason: string): void },
  ) {
    this.#credit = windowBytes
    this.#line = line
  }

  /** Sends at once; undefined when more may follow, else what to wait for before the next write. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#over || bytes.length === 0) return undefined
    this.#credit -= bytes.length
    for (let at = 0; at < bytes.length; at += pieceBytes) this.#line.data(bytes.subarray(at, at + pieceBytes))
    if (this.#credit > 0) return undefined
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  get ready(): boolean {
    return this.#over || this.#credit > 0
  }

  whenReady(callback: () => void): void {
    if (this.ready) callback()
    else this.#waiting.push(callback)
  }

  end(trailers?: readonly string[]): void {
    if (this.#over) return
    this.#close()
    this.#line.end(trailers)
  }

  fail(reason: string): void {
    if (this.#over) return
    this.#close()
    this.#line.fail(reason)
    this.onCut?.()
  }

  /** @internal The line's side: the reader consumed bytes. */
  credit(bytes: number): void {
    this.#credit += bytes
    if (this.#credit > 0) this.#release()
  }

  /** @internal The reader is gone. */
  cut(reason: string): void {
    if (this.#over) return
    this.cutReason = reason
    this.#close()
    this.onCut?.()
  }

  #close(): void {
    this.#over = true
    this.#release()
  }

  #release(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}

/** As a stream, for the rooms of this node. Where `length` says how many bytes there are, it ends with the last of them. */
export function toReadable(body: InBody, length?: Bytes): Readable {
  let received = 0
  return new Readable({
    read() {
      Promise.resolve()
        .then(() => (received === length ? null : body.read()))
        .then(
          (chunk) => {
            if (chunk === null && body.trailers !== undefined) setTrailers(this, [...body.trailers])
            received += chunk?.length ?? 0
            this.push(chunk)
          },
          (error: Error) => this.destroy(error),
        )
    },
    destroy(error, done) {
      body.cancel()
      done(error)
    },
  })
}

/** Pumps a stream of this node into the line; the stream's error breaks the body off. */
export function pumpInto(out: OutBody, source: Readable): void {
  out.onCut = () => source.destroy()
  source.on('data', (chunk: Uint8Array) => {
    const full = out.write(chunk)
    if (full === undefined) return
    source.pause()
    full.then(() => source.resume())
  })
  source.once('end', () => out.end(trailersOf(source)))
  source.once('error', (error) => out.fail(error.message))
  source.once('close', () => out.fail('broken off'))
  // Its events may be over.
  if (source.destroyed) out.fail(source.errored?.message ?? 'broken off')
}
