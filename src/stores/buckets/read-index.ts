/** What is read from the index of one bucket; runs in the reading thread. */
import type { DatabaseSync } from 'node:sqlite'
import type {
  BucketObject,
  ByteRange,
  HeldPart,
  HeldUpload,
  ListWish,
  Preconditions,
  RangeWish,
  StorageClass,
  Troubled,
} from '#/core/buckets.ts'
import type { EpochMs } from '#/core/units.ts'
import { rangeOf } from './byte-range.ts'
import { createLister } from './list-index.ts'
import { holds } from './preconditions.ts'
import { type FileName, keyBytes, keyText, type ObjectRow, type Piece, toObject } from './rows.ts'

export type ReadOperation =
  | { readonly do: 'head'; readonly key: string }
  | { readonly do: 'get'; readonly key: string; readonly onlyIf?: Preconditions; readonly range?: RangeWish }
  | ({ readonly do: 'list' } & ListWish)
  | { readonly do: 'list-parts'; readonly key: string; readonly uploadId: string }
  | { readonly do: 'list-uploads'; readonly prefix: string }
  | { readonly do: 'sums' }
  /** Of the next `look` keys behind `after`: those that were put no later than `before`. */
  | {
      readonly do: 'aged'
      readonly prefix: string
      readonly after: string
      readonly before: EpochMs
      readonly standard?: true
    }
  /** What queues were not told yet, the oldest of each. */
  | { readonly do: 'notices'; readonly limit: number }
  /** Which of these files does nothing name? */
  | { readonly do: 'unnamed'; readonly files: readonly FileName[] }

/** Where the bytes of a get are; neither where there are none. */
export interface FoundBody {
  readonly object: BucketObject
  readonly range: ByteRange
  readonly inline?: Uint8Array
  /** All that the range touches, in order. */
  readonly pieces?: readonly Piece[]
}

/** Keys looked at in one call: other reads wait for no more. */
const agedLook = 5000

export interface Aged {
  readonly versions: readonly { readonly key: string; readonly version: string }[]
  /** Where to go on; absent: that was all. */
  readonly next?: string
}

export interface WaitingNotices {
  readonly queues: readonly {
    readonly queue: string
    readonly notices: readonly { readonly id: number; readonly notice: string }[]
  }[]
}

export interface ReadLimits {
  readonly bucketListKeys: number
  readonly bucketListBytes: number
  readonly bucketUploads: number
}

export type Read = (operation: ReadOperation) => object | Troubled

export function createReader(database: DatabaseSync, limits: ReadLimits): Read {
  const find = database.prepare('SELECT * FROM objects WHERE key = ?')
  const body = database.prepare('SELECT bytes FROM bodies WHERE object = ?')
  const pieces = database.prepare(
    'SELECT start, bytes, file FROM pieces WHERE object = ? AND start < ? AND start + bytes > ? ORDER BY start',
  )
  const upload = database.prepare('SELECT ended_at FROM uploads WHERE id = ? AND key = ?')
  const parts = database.prepare('SELECT number, bytes, etag, uploaded_at FROM parts WHERE upload = ? ORDER BY number')
  const sums = database.prepare('SELECT objects, bytes FROM sums')
  const uploads = database.prepare(
    'SELECT id, key, created_at, class FROM uploads WHERE ended_at IS NULL ORDER BY key, id LIMIT ?',
  )
  const named = database.prepare(
    'SELECT 1 WHERE EXISTS (SELECT 1 FROM pieces WHERE file = ?1) OR EXISTS (SELECT 1 FROM parts WHERE file = ?1)',
  )
  const list = createLister(database, limits)
  const keys = database.prepare(
    'SELECT key, version, uploaded_at, class FROM objects WHERE key > ?1 AND key >= ?2 ORDER BY key LIMIT ?3',
  )
  const queues = database.prepare('SELECT DISTINCT queue FROM notices')
  const noticesOf = database.prepare('SELECT id, notice FROM notices WHERE queue = ? ORDER BY id LIMIT ?')

  function aged({ prefix, after, before, standard }: Extract<ReadOperation, { do: 'aged' }>): Aged {
    const rows = keys.all(keyBytes(after), keyBytes(prefix), agedLook) as unknown as ObjectRow[]
    const inside = rows.map((row) => ({ ...row, text: keyText(row.key) })).filter(({ text }) => text.startsWith(prefix))
    const versions = inside
      .filter((row) => row.uploaded_at <= before && (standard !== true || row.class === 'Standard'))
      .map(({ text, version }) => ({ key: text, version }))
    return { versions, ...(inside.length === agedLook && { next: inside.at(-1)!.text }) }
  }

  function notices(limit: number): WaitingNotices {
    const names = (queues.all() as { queue: string }[]).map(({ queue }) => queue)
    const of = (queue: string) => noticesOf.all(queue, limit) as unknown as { id: number; notice: string }[]
    return { queues: names.map((queue) => ({ queue, notices: of(queue) })) }
  }

  function get({ key, onlyIf, range: wish }: Extract<ReadOperation, { do: 'get' }>): FoundBody | Troubled {
    const row = find.get(keyBytes(key)) as ObjectRow | undefined
    if (row === undefined) return { trouble: 'no_object' }
    const object = toObject(row)
    if (onlyIf !== undefined && !holds(onlyIf, object)) return { trouble: 'unmet', object }
    const range = rangeOf(wish, object.bytes)
    if (range === undefined) return { trouble: 'bad_range', object }
    const { offset, length } = range
    const found = body.get(row.id) as { bytes: Uint8Array } | undefined
    if (found !== undefined) return { object, range, inline: cut(found.bytes, range) }
    return { object, range, pieces: pieces.all(row.id, offset + length, offset) as unknown as Piece[] }
  }

  function listParts({ key, uploadId }: Extract<ReadOperation, { do: 'list-parts' }>): object | Troubled {
    const found = upload.get(uploadId, keyBytes(key)) as { ended_at: number | null } | undefined
    if (found === undefined || found.ended_at !== null) return { trouble: 'no_upload' }
    const rows = parts.all(uploadId) as { number: number; bytes: number; etag: string; uploaded_at: number }[]
    const held: HeldPart[] = rows.map(({ uploaded_at, ...part }) => ({ ...part, uploadedAt: uploaded_at }))
    return { parts: held }
  }

  function listUploads(prefix: string): { uploads: HeldUpload[] } {
    const rows = uploads.all(limits.bucketUploads) as {
      id: string
      key: Uint8Array
      created_at: number
      class: string
    }[]
    const held = rows.map(({ id, key, created_at: createdAt, class: storageClass }) => {
      return { id, key: keyText(key), createdAt, storageClass: storageClass as StorageClass }
    })
    return { uploads: held.filter(({ key }) => key.startsWith(prefix)) }
  }

  return (operation) => {
    switch (operation.do) {
      case 'head': {
        const row = find.get(keyBytes(operation.key)) as ObjectRow | undefined
        return row === undefined ? { trouble: 'no_object' } : { object: toObject(row) }
      }
      case 'get':
        return get(operation)
      case 'list':
        return list(operation)
      case 'list-parts':
        return listParts(operation)
      case 'list-uploads':
        return listUploads(operation.prefix)
      case 'sums':
        return sums.get() as object
      case 'aged':
        return aged(operation)
      case 'notices':
        return notices(operation.limit)
      case 'unnamed':
        return { files: operation.files.filter((file) => named.get(file) === undefined) }
    }
  }
}

function cut(bytes: Uint8Array, { offset, length }: ByteRange): Uint8Array {
  return length === bytes.length ? bytes : bytes.slice(offset, offset + length)
}
