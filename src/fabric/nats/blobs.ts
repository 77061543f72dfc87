/**
 * Blobs: parts with checksums, and a record under the hash that names them. The record is written last and as one: a blob
 * is there whole or not at all.
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Blobs } from '#/core/ports.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { subjectsOf } from './bucket.ts'
import { inOrder } from './in-order.ts'
import type { Line } from './line.ts'
import { headerNames, type PartList, readHead, writeParts } from './message.ts'
import type { SubjectRoot } from './names.ts'
import { DamagedParts, type Parts } from './parts.ts'

export interface BlobsOptions {
  readonly stream: string
  readonly root: SubjectRoot
  readonly line: Line
  readonly parts: Parts
  readonly clock: Clock
  readonly limits: Limits
}

interface BlobRecord {
  readonly sequence: number
  readonly parts: PartList
  readonly storedAt: EpochMs
}

const hashPattern = /^[0-9a-f]{64}$/
const nothing = new Uint8Array()

export function createBlobs({ stream, root, line, parts, clock, limits }: BlobsOptions): Blobs {
  const subjectOf = (hash: BlobHash) => `${root.heads}.${hash}`

  async function find(hash: BlobHash): Promise<BlobRecord | undefined> {
    return (await findLast(hash))?.record
  }

  async function findLast(hash: BlobHash): Promise<{ sequence: number; record?: BlobRecord } | undefined> {
    const message = await line.readLast(stream, subjectOf(hash))
    if (message === undefined) return undefined
    const { deleted, sequence, parts: list } = readHead(message)
    if (deleted || list === undefined) return { sequence }
    return { sequence, record: { sequence, parts: list, storedAt: Number(Buffer.from(message.data).toString()) } }
  }

  /** Answers whether the record still was the one that was read. */
  async function writeRecord(hash: BlobHash, list: PartList, expect: number): Promise<boolean> {
    const stored = Buffer.from(String(clock()))
    const headers = { [headerNames.parts]: writeParts(list) }
    return (await line.write(stream, subjectOf(hash), stored, { headers, expect })) !== undefined
  }

  /** Names the parts; those of the same content from before are removed by whoever replaced them. */
  async function commit(hash: BlobHash, list: PartList): Promise<void> {
    for (;;) {
      const before = await findLast(hash)
      if (!(await writeRecord(hash, list, before?.sequence ?? 0))) continue
      if (before?.record) await parts.remove(before.record.parts)
      return
    }
  }

  /** A part of a blob; when another upload of the same content took its place, from there. */
  async function readPart(hash: BlobHash, first: BlobRecord, index: number): Promise<Uint8Array> {
    for (let record = first; ; ) {
      const part = await parts.read(record.parts, index).catch((error) => {
        throw error instanceof DamagedParts ? damaged(hash, error) : error
      })
      if (part !== undefined) return part
      const now = await find(hash)
      if (now === undefined || now.parts.id === record.parts.id) throw damaged(hash)
      record = now
    }
  }

  async function* readRange(
    hash: BlobHash,
    record: BlobRecord,
    start: number,
    end: number,
  ): AsyncGenerator<Uint8Array> {
    const size = limits.natsPartBytes
    const stop = Math.min(end + 1, record.parts.bytes)
    if (start >= stop) return
    const first = Math.floor(start / size)
    const wanted = Array.from({ length: Math.ceil(stop / size) - first }, (_, i) => first + i)
    let at = first * size
    for await (const part of inOrder(wanted, 8, (index) => readPart(hash, record, index))) {
      const expected = Math.min(size, record.parts.bytes - at)
      if (part.length !== expected) throw damaged(hash)
      yield part.subarray(Math.max(0, start - at), Math.min(part.length, stop - at))
      at += part.length
    }
  }

  return {
    async put(source) {
      const sum = createHash('sha256')
      const startedAt = clock()
      const list = await parts.write(summed(source, sum), startedAt)
      // A sweep takes parts without a record when they are this old; it must not have taken these.
      if (clock() - startedAt > limits.natsExpiredMs / 2) {
        await parts.remove(list)
        throw new EdgeError('client_timeout', 'The blob took too long to arrive.')
      }
      const hash = sum.digest('hex')
      await commit(hash, list)
      return { hash, bytes: list.bytes }
    },

    async get(hash) {
      const record = hashPattern.test(hash) ? await find(hash) : undefined
      if (record === undefined) return undefined
      const whole = Buffer.allocUnsafeSlow(record.parts.bytes)
      let filled = 0
      for await (const part of readRange(hash, record, 0, record.parts.bytes - 1)) {
        whole.set(part, filled)
        filled += part.length
      }
      if (createHash('sha256').update(whole).digest('hex') !== hash) throw damaged(hash)
      return whole
    },

    async stream(hash, range) {
      const record = hashPattern.test(hash) ? await find(hash) : undefined
      if (record === undefined) return undefined
      const { start, end } = range ?? { start: 0, end: record.parts.bytes - 1 }
      return Readable.from(readRange(hash, record, start, end), { objectMode: false, highWaterMark: 0 })
    },

    async has(hash) {
      for (;;) {
        const record = hashPattern.test(hash) ? await find(hash) : undefined
        if (record === undefined) return false
        // Young again well before a sweep would take it; not on every question, since it writes.
        if (clock() - record.storedAt <= limits.blobGraceMs / 4) return true
        if (await writeRecord(hash, record.parts, record.sequence)) return true
      }
    },

    async *list() {
      const subjects = await subjectsOf(line, stream, `${root.heads}.*`)
      const hashes = subjects.map((subject) => subject.slice(root.heads.length + 1))
      const records = inOrder(hashes, limits.natsReadsAtOnce, async (hash) => ({ hash, record: await find(hash) }))
      for await (const { hash, record } of records)
        if (record !== undefined) yield { hash, bytes: record.parts.bytes, storedAt: record.storedAt }
    },

    async delete(hash, { storedBefore = Number.POSITIVE_INFINITY } = {}) {
      for (;;) {
        const record = hashPattern.test(hash) ? await find(hash) : undefined
        if (record === undefined || record.storedAt >= storedBefore) return
        const headers = { [headerNames.deleted]: '1' }
        const removed = await line.write(stream, subjectOf(hash), nothing, { headers, expect: record.sequence })
        if (removed !== undefined) return parts.remove(record.parts)
      }
    },
  }
}

async function* summed(
  source: Uint8Array | AsyncIterable<Uint8Array>,
  sum: { update(chunk: Uint8Array): unknown },
): AsyncGenerator<Uint8Array> {
  if (source instanceof Uint8Array) {
    sum.update(source)
    yield source
    return
  }
  for await (const chunk of source) {
    sum.update(chunk)
    yield chunk
  }
}

function damaged(hash: BlobHash, cause?: Error): Error {
  return new Error(`The blob ${hash} is damaged.`, { cause })
}
