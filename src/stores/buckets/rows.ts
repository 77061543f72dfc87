/** Rows of a bucket's index, and the objects that they are. */
import type { BucketObject, Digests, HttpFields, StorageClass } from '#/core/buckets.ts'

export interface ObjectRow {
  readonly id: number
  readonly key: Uint8Array
  readonly version: string
  readonly bytes: number
  readonly etag: string
  readonly uploaded_at: number
  readonly digests: string
  readonly http: string
  readonly custom: string
  readonly class: string
}

/** A file that holds part of an object: `FOLDER/NUMBER` below `bodies`. */
export type FileName = string

/** Bytes of an object that are in one file, from `start` of the object on. */
export interface Piece {
  readonly start: number
  readonly bytes: number
  readonly file: FileName
}

export const keyBytes = (key: string): Uint8Array => Buffer.from(key)

export function keyText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}

export function toObject(row: ObjectRow): BucketObject {
  return {
    key: keyText(row.key),
    version: row.version,
    bytes: row.bytes,
    etag: row.etag,
    uploadedAt: row.uploaded_at,
    digests: JSON.parse(row.digests) as Digests,
    http: JSON.parse(row.http) as HttpFields,
    custom: JSON.parse(row.custom) as Record<string, string>,
    storageClass: row.class as StorageClass,
  }
}

/** The first key behind all that start with these bytes; UTF-8 never holds 0xFF, so the last byte can be raised. */
export function behindPrefix(prefix: Uint8Array): Uint8Array {
  const next = Uint8Array.from(prefix)
  next[next.length - 1]! += 1
  return next
}
