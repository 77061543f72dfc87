/** Bodies of calls between nodes. */
import type { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'

/** Rejects with `body_too_large` beyond the limit. */
export async function readBody(body: Readable, limitBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength
    if (bytes > limitBytes) throw new EdgeError('body_too_large', `A peer sent more than ${limitBytes} bytes at once.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

export async function readJson<Shape>(body: Readable, limitBytes: number): Promise<Shape> {
  return JSON.parse((await readBody(body, limitBytes)).toString()) as Shape
}

export function toJson(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}
