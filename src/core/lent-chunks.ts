/**
 * Long bodies lend their chunks: whoever reads one and has sent a chunk gives it back, and its memory carries the next.
 * Fresh memory for each costs such a body more in garbage collection than in sending. A reader who knows nothing of this
 * keeps what it got: only what was given back is used again.
 */
import { pipeline, type Readable, type Writable } from 'node:stream'
import type { Bytes } from './units.ts'

/** Of one body. */
export interface ChunkShelf {
  take(): Buffer
  /** For the only reader of the body, when nothing reads the chunk any more. What is not from here is left alone. */
  giveBack(chunk: Uint8Array): void
}

/** Chunks of so many bytes; at most `most` wait to be used again. */
export function createChunkShelf(bytes: Bytes, most: number): ChunkShelf {
  const free: Buffer[] = []
  const lent = new WeakMap<ArrayBufferLike, Buffer>()
  return {
    take() {
      // Not from Node's pool: a chunk has memory of its own.
      const chunk = free.pop() ?? Buffer.allocUnsafeSlow(bytes)
      lent.set(chunk.buffer, chunk)
      return chunk
    },
    giveBack({ buffer }) {
      const chunk = lent.get(buffer)
      if (chunk === undefined || !lent.delete(buffer) || free.length >= most) return
      free.push(chunk)
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
