/** Bodies that the runtime's bindings send: read to their end, since the sender hears a refusal only after it has sent all. */
import type { Readable } from 'node:stream'
import type { Bytes } from '#/core/units.ts'

/** How long it was, and all of it unless that is more than `most`: then nothing is kept. */
export async function drainBody(
  body: Readable | null,
  most: Bytes,
): Promise<{ readonly bytes: Bytes; readonly whole?: Buffer }> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of (body ?? []) as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes <= most) parts.push(part)
    else parts.length = 0
  }
  return bytes <= most ? { bytes, whole: Buffer.concat(parts) } : { bytes }
}
