/**
 * An answer on its way from the node that gave it to the node that hands it out: interim heads, the head, bytes, and what
 * comes behind them, each in a frame of one byte kind, four bytes length and so many bytes.
 */
import { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import { setTrailers } from '#/core/trailers.ts'
import type { Bytes } from '#/core/units.ts'
import type { Sink } from './pump.ts'

export interface HandedHead {
  readonly status: number
  readonly statusText?: string
  readonly headers: HeaderList
}

const kinds = { interim: 1, head: 2, data: 3, end: 4 } as const
const prefixBytes = 5

function prefix(kind: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(prefixBytes)
  bytes[0] = kind
  bytes.writeUInt32BE(length, 1)
  return bytes
}

export function headFrame(kind: 'interim' | 'head', head: HandedHead): Buffer {
  return textFrame(kinds[kind], head)
}

/** The last one; an answer without it was broken off. */
export function endFrame(trailers: HeaderList): Buffer {
  return textFrame(kinds.end, trailers)
}

function textFrame(kind: number, value: object): Buffer {
  const text = Buffer.from(JSON.stringify(value))
  return Buffer.concat([prefix(kind, text.length), text])
}

/** A sink whose bytes go out as data frames into `target`, and whose end is an end frame with `trailers()`. */
export function dataSink(target: NodeJS.WritableStream & Sink, trailers: () => HeaderList): Sink {
  return {
    get destroyed() {
      return target.destroyed
    },
    write(chunk, sent) {
      target.write(prefix(kinds.data, chunk.length))
      return target.write(chunk, sent)
    },
    end() {
      target.write(endFrame(trailers()))
      target.end()
    },
    on: (event, listener) => target.on(event, listener),
    off: (event, listener) => target.off(event, listener),
  }
}

export interface FrameHooks {
  readonly limitBytes: Bytes
  onInterim(head: HandedHead): void
  /** Called once; with status 101 the source is the caller's from then on, with whatever follows the head put back. */
  onHead(head: HandedHead): void
  /** Called instead of `onHead` when none came. */
  onNone(error: EdgeError): void
}

/** The body of an answer whose frames come from `source`; trailers are set before its end. */
export class FramedBody extends Readable {
  readonly #source: Readable
  readonly #hooks: FrameHooks
  #begun = false
  #ended = false
  #rest: Buffer = Buffer.alloc(0)
  /** Bytes of the data frame that are still to come. */
  #left = 0

  constructor(source: Readable, hooks: FrameHooks) {
    super()
    this.#source = source
    this.#hooks = hooks
    // Broken off when nobody reads any more is no bug; whoever reads has listeners of their own.
    this.on('error', () => {})
    source.on('error', this.#onBroken)
    source.on('end', this.#onBroken)
    source.on('close', this.#onBroken)
    source.on('data', this.#onData)
  }

  override _read(): void {
    this.#source.resume()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#letGo()
    this.#source.on('error', () => {}).destroy()
    done(error)
  }

  #letGo(): void {
    this.#source.off('data', this.#onData)
    this.#source.off('end', this.#onBroken)
    this.#source.off('close', this.#onBroken)
    this.#source.off('error', this.#onBroken)
  }

  #onBroken = (): void => {
    if (this.#ended || this.destroyed) return
    this.#fail(new EdgeError('peer_away', 'The node that answered went away before its answer was complete.'))
  }

  #fail(error: EdgeError): void {
    if (!this.#begun) this.#hooks.onNone(error)
    this.#begun = true
    this.destroy(error)
  }

  #onData = (chunk: Buffer): void => {
    let bytes: Buffer = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = Buffer.alloc(0)
    while (bytes.length > 0 && !this.#ended && !this.destroyed) {
      const used = this.#left > 0 ? this.#passOn(bytes) : this.#frame(bytes)
      if (used === 0) break
      bytes = bytes.subarray(used)
    }
    this.#rest = bytes
  }

  #passOn(bytes: Buffer): number {
    const part = bytes.subarray(0, this.#left)
    this.#left -= part.length
    if (!this.push(part)) this.#source.pause()
    return part.length
  }

  /** Bytes used; 0 when the frame is not whole yet. */
  #frame(bytes: Buffer): number {
    if (bytes.length < prefixBytes) return 0
    const kind = bytes[0]
    const length = bytes.readUInt32BE(1)
    if (kind === kinds.data) {
      this.#left = length
      return prefixBytes
    }
    const end = prefixBytes + length
    if (length > this.#hooks.limitBytes) {
      this.#fail(new EdgeError('internal', `A head of ${length} bytes came from another node.`))
      return 0
    }
    if (bytes.length < end) return 0
    this.#take(kind, JSON.parse(bytes.toString('utf8', prefixBytes, end)), bytes.subarray(end))
    return end
  }

  #take(kind: number | undefined, value: HandedHead | HeaderList, behind: Buffer): void {
    if (kind === kinds.interim) this.#hooks.onInterim(value as HandedHead)
    else if (kind === kinds.head) this.#begin(value as HandedHead, behind)
    else if (kind === kinds.end) {
      this.#ended = true
      setTrailers(this, value as HeaderList)
      this.push(null)
    } else this.#fail(new EdgeError('internal', 'Another node speaks another language.'))
  }

  #begin(head: HandedHead, behind: Buffer): void {
    this.#begun = true
    if (head.status === 101) {
      this.#ended = true
      this.#letGo()
      this.#source.pause()
      if (behind.length > 0) this.#source.unshift(behind)
    }
    this.#hooks.onHead(head)
  }
}
