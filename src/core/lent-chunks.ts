/**
 * Long bodies lend their chunks: whoever reads one and has sent a chunk gives it back, and its memory carries the next.
 * Fresh memory for each costs such a body more in garbage collection than in sending. A reader who knows nothing of this
 * keeps what it got: only what was given back is used again.
 */
import { pipeline, type Readable, type Writable } from 'node:stream'
import type { Bytes } from './units.ts'

/** Of one body, or of all of a thread that have chunks of one size: what many short-lived ones took fresh would be collected. */
export interface ChunkShelf {
  take(): Buffer
  /** For the only reader of the body, when nothing reads the chunk any more. What is not from here is left alone. */
  giveBack(chunk: Uint8Array): void
}

interface Chunk {
  readonly bytes: Buffer
  isLent: boolean
}

/** Chunks of so many bytes; at most `most` wait to be used again, and no longer than until garbage is collected. */
export function createChunkShelf(bytes: Bytes, most: number): ChunkShelf {
  const free: WeakRef<Chunk>[] = []
  /** As long as anybody has some of its memory. */
  const chunks = new WeakMap<ArrayBufferLike, Chunk>()

  function fresh(): Chunk {
    // Not from Node's pool: a chunk has memory of its own.
    const chunk = { bytes: Buffer.allocUnsafeSlow(bytes), isLent: true }
    chunks.set(chunk.bytes.buffer, chunk)
    return chunk
  }

  return {
    take() {
      let chunk: Chunk | undefined
      while (chunk === undefined && free.length > 0) chunk = free.pop()!.deref()
      chunk ??= fresh()
      chunk.isLent = true
      return chunk.bytes
    },
    giveBack({ buffer }) {
      const chunk = chunks.get(buffer)
      if (chunk === undefined || !chunk.isLent) return
      chunk.isLent = false
      if (free.length < most) free.push(new WeakRef(chunk))
    },
  }
}

const shelves = new WeakMap<Readable, ChunkShelf>()

/** The chunks of this stream are from there. */
export function lendFrom(body: Readable, shelf: ChunkShelf): void {
  shelves.set(body, shelf)
}

/** Where the chunks of a body go when they are sent; `undefined`: nowhere. */
export function shelfOf(body: Readable): ChunkShelf | undefined {
  return shelves.get(body)
}

/** Sends a body and ends the target; either that breaks off takes the other along. */
export function pour(body: Readable, target: Writable): void {
  const shelf = shelfOf(body)
  if (shelf === undefined) return void pipeline(body, target, () => {})
  if (body.destroyed) return void target.destroy()
  const resume = () => void body.resume()
  body.on('data', (chunk: Uint8Array) => {
    if (!target.write(chunk, () => shelf.giveBack(chunk))) body.pause()
  })
  body.on('end', () => target.end())
  body.on('error', () => target.destroy())
  body.on('close', () => {
    if (!body.readableEnded) target.destroy()
  })
  target.on('drain', resume)
  target.on('error', () => body.destroy())
  target.on('close', () => body.destroy())
}
