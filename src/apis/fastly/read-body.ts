/** Request bodies as bytes, read no further than their cap. */
import type { Context } from 'hono'
import { badRequest, FastlyError } from './errors.ts'

/** Throws a `FastlyError`: 413 over the cap, 400 when the client breaks off. */
export async function readBytes(c: Context, most: number, what: string): Promise<Buffer> {
  const tooLarge = () => new FastlyError(413, 'Request entity too large', `${what} is larger than ${most} bytes.`)
  if (Number(c.req.header('content-length') ?? 0) > most) throw tooLarge()
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunksOf(c)) {
    bytes += chunk.byteLength
    if (bytes > most) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

async function* chunksOf(c: Context): AsyncGenerator<Uint8Array> {
  if (c.req.raw.body === null) return
  try {
    yield* c.req.raw.body
  } catch {
    throw badRequest('The request ended before its body was complete.')
  }
}
