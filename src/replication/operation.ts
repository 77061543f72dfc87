/** A write as it travels and as it lies on disk: the state of one key, and its place in the order of a node. */
import type { BlobHash } from '#/core/snapshot.ts'
import type { EpochMs } from '#/core/units.ts'
import type { Stamp } from './hybrid-time.ts'

/** Who may hold it: '' for everybody, else its countries in order, e.g. `DE,FR`. Each scope of a node has an order of its own. */
export type Scope = string
/** A node with its database, e.g. `fra~3f9c2e`: a node that lost its disk is another origin. */
export type Origin = string

export interface Row extends Stamp {
  readonly bucket: string
  readonly key: string
  /** Absent: the key was deleted, or has expired. */
  readonly value?: Uint8Array
  readonly scope: Scope
  readonly origin: Origin
  /** Without gaps in each scope of an origin, from 1. */
  readonly seq: number
  readonly expiresAt?: EpochMs
  /** The blob that the value names. */
  readonly blob?: BlobHash
}

type Head = readonly [
  bucket: string,
  key: string,
  time: number,
  writer: string,
  scope: Scope,
  origin: Origin,
  seq: number,
  valueBytes: number,
  expiresAt: number,
  blob: string,
]

/** Length of the heads (4 bytes, big-endian), the heads in JSON, the values one after the other. */
export function encodeRows(rows: readonly Row[]): Uint8Array {
  const heads = rows.map(
    (row): Head => [
      row.bucket,
      row.key,
      row.time,
      row.writer,
      row.scope,
      row.origin,
      row.seq,
      row.value?.byteLength ?? -1,
      row.expiresAt ?? 0,
      row.blob ?? '',
    ],
  )
  const json = Buffer.from(JSON.stringify(heads))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([length, json, ...rows.flatMap((row) => row.value ?? [])])
}

/** Throws on anything that `encodeRows` does not write. */
export function decodeRows(bytes: Uint8Array): Row[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = 4 + buffer.readUInt32BE(0)
  const heads = JSON.parse(buffer.subarray(4, start).toString()) as Head[]
  let at = start
  const rows = heads.map(([bucket, key, time, writer, scope, origin, seq, valueBytes, expiresAt, blob]): Row => {
    const value = valueBytes < 0 ? undefined : buffer.subarray(at, at + valueBytes)
    at += Math.max(0, valueBytes)
    if (at > buffer.length || ![time, seq, valueBytes, expiresAt].every(Number.isSafeInteger)) throw broken()
    return {
      bucket,
      key,
      time,
      writer,
      scope,
      origin,
      seq,
      ...(value !== undefined && { value }),
      ...(expiresAt !== 0 && { expiresAt }),
      ...(blob !== '' && { blob }),
    }
  })
  if (at !== buffer.length) throw broken()
  return rows
}

function broken(): Error {
  return new Error('A batch of operations is damaged.')
}

/** What a row costs in a batch, roughly. */
export function sizeOfRow(row: Row): number {
  return 200 + row.key.length + (row.value?.byteLength ?? 0)
}
