/**
 * The content of uploaded files: named by the first 32 hex digits of BLAKE3 over base64(content) + extension, checked
 * while it streams by. Source: wrangler's hash of an asset, recomputed from its uploads.
 */
import { posix } from 'node:path'
import { blake3 } from '@noble/hashes/blake3.js'
import mime from 'mime'
import type { Bytes } from '#/core/units.ts'
import { AssetsRefused } from './assets-refused.ts'

/** Content is hashed in pieces of this size (a multiple of 3), so that base64 needs no carry and nobody waits long. */
const pieceBytes = 48 * 1024

/** Computes the name of a content piece by piece. */
export function createAssetHash(extension: string): { update(bytes: Uint8Array): void; digest(): string } {
  const hash = blake3.create({})
  let carry: Uint8Array = new Uint8Array(0)
  const base64 = (bytes: Uint8Array) =>
    Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'), 'latin1')
  return {
    update(bytes) {
      const joined = carry.length === 0 ? bytes : Buffer.concat([carry, bytes])
      const whole = joined.length - (joined.length % 3)
      hash.update(base64(joined.subarray(0, whole)))
      carry = joined.slice(whole)
    },
    digest() {
      hash.update(Buffer.concat([base64(carry), Buffer.from(extension, 'utf8')]))
      return Buffer.from(hash.digest()).toString('hex').slice(0, 32)
    },
  }
}

export function extensionOf(path: string): string {
  return posix.extname(path).slice(1)
}

export interface ExpectedContent {
  readonly hash: string
  readonly size: Bytes
  /** Where the file will be, for messages and its extension. */
  readonly path: string
}

/** Passes the bytes on, and throws `wrong_content` before the end when they are not what was announced. */
export async function* checkContent(
  body: AsyncIterable<Uint8Array>,
  { hash, size, path }: ExpectedContent,
): AsyncGenerator<Uint8Array> {
  const actual = createAssetHash(extensionOf(path))
  let count = 0
  for await (const chunk of body) {
    count += chunk.length
    if (count > size)
      throw new AssetsRefused('wrong_content', `The content of ${path} is longer than the ${size} bytes announced.`)
    for (let from = 0; from < chunk.length; from += pieceBytes) {
      const piece = chunk.subarray(from, from + pieceBytes)
      actual.update(piece)
      yield piece
      if (chunk.length > pieceBytes) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  if (count < size)
    throw new AssetsRefused('wrong_content', `The content of ${path} ended after ${count} of ${size} bytes.`)
  const found = actual.digest()
  if (found !== hash)
    throw new AssetsRefused('wrong_content', `The content of ${path} has the hash ${found}, not ${hash} as announced.`)
}

/** The media type for a file that was uploaded without one, by its extension; wrangler's own table. */
export function typeOfPath(path: string): string | undefined {
  const type = mime.getType(path)
  if (type === null) return undefined
  return type.startsWith('text/') ? `${type}; charset=utf-8` : type
}

/** RFC 9110 §8.3.1, loosely: printable, one line. */
const mediaType = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+[\t\u0020-\u007e]{0,200}$/

/** The type as uploaded; `application/null` and absent mean none. Refuses text that is no media type. */
export function uploadedType(field: string | undefined): string | undefined {
  if (field === undefined || field === '' || field.startsWith('application/null')) return undefined
  if (!mediaType.test(field)) throw new AssetsRefused('bad_request', `Not a media type: ${JSON.stringify(field)}.`)
  return field
}
