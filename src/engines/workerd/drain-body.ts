/** Bodies that the runtime's bindings send: read to their end, since the sender hears a refusal only after it has sent all. */
import type { Bytes } from '#/core/units.ts'
import type { BackplaneRequest } from './backplane.ts'
import { smallBody } from './small-body.ts'

export interface Drained {
  readonly bytes: Bytes
  /** Absent where it was longer than allowed: then nothing is kept. */
  readonly whole?: Buffer
}

/** How long it was, and all of it unless that is more than `most`. Rejects where less comes than was announced. */
export async function drainBody(request: Pick<BackplaneRequest, 'body' | 'headers'>, most: Bytes): Promise<Drained> {
  const body = await smallBody(request)
  if (body instanceof Uint8Array)
    return body.length <= most ? { bytes: body.length, whole: body } : { bytes: body.length }
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of (body ?? []) as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes <= most) parts.push(part)
    else parts.length = 0
  }
  return bytes <= most ? { bytes, whole: Buffer.concat(parts) } : { bytes }
}
