/**
 * One record of a segment: a header, the head as JSON, then the body, or for a large body the CRC-32 of each block of its
 * file. One CRC-32 stands over everything behind it, so a record is taken whole and right or not at all.
 */
import { crc32 } from 'node:zlib'
import type { StoredHead } from '../store.ts'

/** A body in a file of its own. */
export interface FileBody {
  readonly file: number
  readonly bytes: number
  /** Four bytes, big-endian, for each block. */
  readonly checks: Buffer
}

export interface DiskRecord {
  readonly head: StoredHead
  readonly body: Buffer | FileBody
}

const mark = 0x52574331
const headerBytes = 28

export function encodeRecord(head: StoredHead, body: Uint8Array | FileBody): Buffer {
  const json = Buffer.from(JSON.stringify(head))
  const inFile = 'file' in body
  const tail = inFile ? body.checks : body
  const record = Buffer.allocUnsafeSlow(headerBytes + json.length + tail.length)
  record.writeUInt32BE(mark, 0)
  record.writeUInt32BE(json.length, 8)
  record.writeUInt32BE(tail.length, 12)
  record.writeUInt32BE(inFile ? body.file : 0, 16)
  record.writeDoubleBE(inFile ? body.bytes : 0, 20)
  record.set(json, headerBytes)
  record.set(tail, headerBytes + json.length)
  record.writeUInt32BE(crc32(record.subarray(8)), 4)
  return record
}

/** Undefined where the bytes are anything but one whole record as it was written. */
export function decodeRecord(record: Buffer): DiskRecord | undefined {
  if (record.length < headerBytes || record.readUInt32BE(0) !== mark) return undefined
  if (crc32(record.subarray(8)) !== record.readUInt32BE(4)) return undefined
  const jsonEnd = headerBytes + record.readUInt32BE(8)
  if (jsonEnd + record.readUInt32BE(12) !== record.length) return undefined
  const head = JSON.parse(record.toString('utf8', headerBytes, jsonEnd)) as StoredHead
  const tail = record.subarray(jsonEnd)
  const file = record.readUInt32BE(16)
  return { head, body: file === 0 ? tail : { file, bytes: record.readDoubleBE(20), checks: tail } }
}

/** The head of a record whose body is not looked at, unchecked: for removals, where a wrong one costs a miss. */
export function readHead(record: Buffer): StoredHead | undefined {
  if (record.length < headerBytes || record.readUInt32BE(0) !== mark) return undefined
  try {
    return JSON.parse(record.toString('utf8', headerBytes, headerBytes + record.readUInt32BE(8))) as StoredHead
  } catch {
    return undefined
  }
}
