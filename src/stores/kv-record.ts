/**
 * A KV record as the fabric keeps it: kind (1 byte), length of the metadata (2 bytes, big-endian), metadata, then the
 * value itself or the SHA-256 of the blob that holds it. The head is at most 3 + 1024 bytes, which is all that a listing
 * reads.
 */
import type { BlobHash } from '#/core/snapshot.ts'

const headBytes = 3
const kinds = { 1: 'inline', 2: 'blob' } as const

export type KvRecord = { readonly metadata?: string } & (
  | { readonly kind: 'inline'; readonly value: Uint8Array }
  | { readonly kind: 'blob'; readonly hash: BlobHash }
)

/** Bytes of a record that hold all of its metadata, given the largest metadata. */
export function headOf(metadataBytes: number): number {
  return headBytes + metadataBytes
}

export function encodeRecord(record: KvRecord): Uint8Array {
  const metadata = Buffer.from(record.metadata ?? '')
  const head = Buffer.alloc(headBytes)
  head[0] = record.kind === 'inline' ? 1 : 2
  head.writeUInt16BE(metadata.length, 1)
  return Buffer.concat([head, metadata, record.kind === 'inline' ? record.value : Buffer.from(record.hash, 'hex')])
}

/** Serialized metadata at the head of a record, whole or cut after its head. */
export function decodeMetadata(bytes: Uint8Array): string | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = buffer.readUInt16BE(1)
  return length === 0 ? undefined : buffer.toString('utf8', headBytes, headBytes + length)
}

/** Throws on a kind that this version does not know: a bug, or a store of a later version. */
export function decodeRecord(bytes: Uint8Array): KvRecord {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const kind = kinds[buffer[0] as keyof typeof kinds]
  if (kind === undefined) throw new Error(`KV record of unknown kind ${buffer[0]}`)
  const metadata = decodeMetadata(bytes)
  const rest = bytes.subarray(headBytes + buffer.readUInt16BE(1))
  const head = metadata === undefined ? {} : { metadata }
  if (kind === 'inline') return { ...head, kind, value: rest }
  return { ...head, kind, hash: Buffer.from(rest).toString('hex') }
}
