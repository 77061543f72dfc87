/** Bodies of calls to stores that live at one node, and of their answers: bytes, a stream of them, or none. */
import type { StoreAnswer, StoreCall } from './homed-stores.ts'

type Body = StoreCall['body'] | StoreAnswer['body']

/** All of it; no bytes where there is none. Rejects as the stream does. */
export async function bytesOf(body: Body): Promise<Buffer> {
  return (await bytesUpTo(body, Number.POSITIVE_INFINITY))!
}

/**
 * All of it; undefined where a stream has more than `most` bytes, which is then destroyed. Bytes that are in memory already
 * are lent as they are, without a copy and however many.
 */
export async function bytesUpTo(body: Body, most: number): Promise<Buffer | undefined> {
  if (body === null || body === undefined) return Buffer.alloc(0)
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of body as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > most) return undefined
    parts.push(part)
  }
  return Buffer.concat(parts)
}
