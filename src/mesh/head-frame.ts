/**
 * What begins each direction of a call: one byte for what it is, three for the head's length, four for the body's (plus one;
 * zero means that it streams and a trailer says that it is whole), then the head as JSON. It is no HTTP field, because those
 * are counted and compressed apart, and 256 KiB of them would need other limits. Lengths and the trailer are there because
 * Node's HTTP/2 streams may also `end` when their session breaks.
 */
import { EdgeError, type ErrorCode, errorTable } from '#/core/errors.ts'
import type { MeshHead } from '#/core/mesh.ts'

export const prefixBytes = 8
const kinds = { head: 0, failure: 1 } as const

/** Throws `headers_too_large` when the JSON is longer than `limit` bytes. `bodyBytes` is left out for what streams. */
export function packHead(head: MeshHead, limit: number, bodyBytes = -1): Buffer {
  return pack(kinds.head, head, limit, bodyBytes)
}

/** What the other side throws again, with the same code. */
export function packFailure(failure: EdgeError, limit: number): Buffer {
  return pack(kinds.failure, { code: failure.code, message: failure.message.slice(0, 2_000) }, limit, 0)
}

function pack(kind: number, value: object, limit: number, bodyBytes: number): Buffer {
  const json = JSON.stringify(value)
  const length = Buffer.byteLength(json)
  if (length > limit)
    throw new EdgeError('headers_too_large', `The head of a call between nodes has ${length} bytes; ${limit} may be.`)
  const frame = Buffer.allocUnsafe(prefixBytes + length)
  frame.writeUInt32BE(kind * 2 ** 24 + length)
  frame.writeUInt32BE(bodyBytes + 1, 4)
  frame.write(json, prefixBytes)
  return frame
}

/** Bytes of the whole frame, prefix included. Throws for what is no prefix of ours, or announces more than `limit`. */
export function frameBytes(prefix: Buffer, limit: number): number {
  const length = prefix.readUIntBE(1, 3)
  if (prefix[0]! > kinds.failure) throw new EdgeError('bad_request', 'A call between nodes does not begin with a head.')
  if (length > limit)
    throw new EdgeError('headers_too_large', `The head of a call between nodes has ${length} bytes; ${limit} may be.`)
  return prefixBytes + length
}

/** How many bytes follow the frame; `undefined` when a trailer will say that they are whole. */
export function bodyBytesOf(prefix: Buffer): number | undefined {
  const bytes = prefix.readUInt32BE(4)
  return bytes === 0 ? undefined : bytes - 1
}

/** The head in a whole frame; throws the failure that stands in its place, or `bad_request` for what is no JSON object. */
export function unpackHead(frame: Buffer): MeshHead {
  let value: unknown
  try {
    value = JSON.parse(frame.toString('utf8', prefixBytes))
  } catch (cause) {
    throw new EdgeError('bad_request', 'The head of a call between nodes is not JSON.', { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new EdgeError('bad_request', 'The head of a call between nodes is not an object.')
  if (frame[0] === kinds.failure) throw failureOf(value)
  return value as MeshHead
}

/** An unknown code, from a node of another version, becomes `internal`. */
export function failureOf({ code, message }: { readonly code?: unknown; readonly message?: unknown }): EdgeError {
  const known = typeof code === 'string' && Object.hasOwn(errorTable, code)
  return new EdgeError(known ? (code as ErrorCode) : 'internal', String(message))
}

/** The trailer field behind the last byte: empty when the body was whole, else what it failed with. */
export const endField = 'rimward-end'

export function endToField(failure: EdgeError | undefined): string {
  if (failure === undefined) return ''
  return encodeURIComponent(JSON.stringify({ code: failure.code, message: failure.message.slice(0, 500) }))
}

/** `undefined` when the body is whole. */
export function endFromField(field: string): EdgeError | undefined {
  if (field === '') return undefined
  try {
    return failureOf(JSON.parse(decodeURIComponent(field)))
  } catch {
    return new EdgeError('internal', 'A body between nodes broke off.')
  }
}
