/** Request bodies, read no further than their cap. */
import type { Context } from 'hono'
import { VendorError } from './envelope.ts'

/** The body as it comes; a connection that breaks off is the client's failure. */
export async function* bodyOf(c: Context): AsyncGenerator<Uint8Array> {
  if (c.req.raw.body === null) return
  try {
    for await (const chunk of c.req.raw.body) yield chunk
  } catch {
    throw new VendorError(400, 10001, 'The request ended before its body was complete.')
  }
}

/** Throws a `VendorError` (413) over `cap` bytes. */
export async function readBody(c: Context, cap: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of bodyOf(c)) {
    bytes += chunk.length
    if (bytes > cap) throw new VendorError(413, 10001, `The request body is larger than ${cap} bytes.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Whatever its content type says: wrangler sends JSON as `text/plain` too. `{}` for an empty body. */
export async function readJson(c: Context, cap: number): Promise<unknown> {
  const text = (await readBody(c, cap)).toString('utf8')
  if (text === '') return {}
  try {
    return JSON.parse(text)
  } catch {
    throw new VendorError(400, 10001, 'The request body is not JSON.')
  }
}
