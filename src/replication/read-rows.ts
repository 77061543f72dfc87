/** Reads of rows, on the thread that asks, over a connection of their own. */
import { DatabaseSync } from 'node:sqlite'
import type { BlobHash } from '#/core/snapshot.ts'
import { type Origin, type Row, type Scope, sizeOfRow } from './operation.ts'
import { type Mark, toVector, type Vector } from './vector.ts'

export interface RowPage {
  readonly rows: readonly Row[]
  /** Of the last row that was looked at. */
  readonly next: number
  readonly done: boolean
  /** As of this very read. */
  readonly vector: Vector
}

export interface KeyPage {
  /** Every row of the page; only those that `wanted` have their values. */
  readonly rows: readonly Row[]
  readonly wanted: readonly boolean[]
  readonly done: boolean
}

export interface RowReader {
  readonly origin: Origin
  vector(): Vector
  dropped(): Vector
  head(): number
  cursor(peer: Origin): number
  buckets(): readonly (readonly [bucket: string, scope: Scope])[]
  /** Rows learned after `after` that are `wanted`, until so many bytes. */
  since(after: number, bytes: number, wanted: (row: Row) => boolean): RowPage
  /** Rows in the order of buckets and keys. */
  byKey(after: readonly [bucket: string, key: string], bytes: number, wanted: (row: Row) => boolean): KeyPage
  /** `at` and row of the keys behind `after`, not behind `last` (absent: to the end), without values. */
  range(after: readonly [string, string], last: readonly [string, string] | undefined): readonly [number, Row][]
  /** Of each origin's operations in each scope the last that a row of the bucket has. */
  lastOf(bucket: string): readonly Mark[]
  blobsOf(bucket: string): readonly BlobHash[]
  bucketsOfBlob(hash: BlobHash): readonly string[]
  sizes(
    bucket: string,
    after: string,
    limit: number,
  ): readonly { readonly key: string; readonly bytes: number; readonly dead: boolean }[]
  close(): void
}

const columns = 'at, bucket, key, time, writer, scope, origin, seq, expires_at, blob'
/** Looked at in one go, so that a page never keeps the thread for long. */
const rowsAtOnce = 2000

type Found = Record<string, unknown> & { readonly key: Uint8Array }

export function openRowReader(file: string): RowReader {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 2000 })
  const prepare = (sql: string) => database.prepare(sql)
  const marks = prepare('SELECT scope, origin, seq, dropped FROM vector')
  const head = prepare('SELECT coalesce(max(at), 0) AS at FROM rows')
  const cursor = prepare('SELECT at FROM peers WHERE origin = ?')
  const buckets = prepare('SELECT bucket, scope FROM buckets')
  const since = prepare(`SELECT ${columns}, value IS NULL AS dead FROM rows WHERE at > ? ORDER BY at LIMIT ?`)
  const byKey = prepare(
    `SELECT ${columns}, value IS NULL AS dead FROM rows WHERE (bucket, key) > (?, ?) ORDER BY bucket, key LIMIT ?`,
  )
  const range = prepare(
    `SELECT ${columns}, value IS NULL AS dead FROM rows WHERE (bucket, key) > (?, ?) AND (bucket, key) <= (?, ?)`,
  )
  const rest = prepare(`SELECT ${columns}, value IS NULL AS dead FROM rows WHERE (bucket, key) > (?, ?)`)
  const valueAt = prepare('SELECT value FROM rows WHERE at = ?')
  const lastOf = prepare('SELECT scope, origin, max(seq) AS seq FROM rows WHERE bucket = ? GROUP BY scope, origin')
  const blobsOf = prepare('SELECT DISTINCT blob FROM rows WHERE bucket = ? AND blob IS NOT NULL')
  const ofBlob = prepare('SELECT DISTINCT bucket FROM rows WHERE blob = ?')
  const sizes = prepare(
    'SELECT key, length(value) AS bytes, value IS NULL AS dead FROM rows WHERE bucket = ? AND key > ? ORDER BY key LIMIT ?',
  )

  const vectorOf = (column: 'seq' | 'dropped'): Vector =>
    toVector(
      marks
        .all()
        .flatMap((row): Mark[] => (row[column] ? [[String(row.scope), String(row.origin), Number(row[column])]] : [])),
    )
  const withValue = (row: Row, found: Found): Row =>
    found.dead === 1 ? row : { ...row, value: valueAt.get(found.at as number)!.value as Uint8Array }
  /** One moment for all that is read. */
  function atOnce<Result>(read: () => Result): Result {
    database.exec('BEGIN')
    try {
      return read()
    } finally {
      database.exec('COMMIT')
    }
  }

  return {
    origin: String(prepare(`SELECT value FROM facts WHERE name = 'origin'`).get()!.value),
    vector: () => vectorOf('seq'),
    dropped: () => vectorOf('dropped'),
    head: () => Number(head.get()!.at),
    cursor: (peer) => Number(cursor.get(peer)?.at ?? 0),
    buckets: () => buckets.all().map((row) => [String(row.bucket), String(row.scope)] as const),
    since: (after, bytes, wanted) =>
      atOnce(() => {
        const rows: Row[] = []
        let next = after
        let left = bytes
        let looked = 0
        for (const found of since.iterate(after, rowsAtOnce) as Iterable<Found>) {
          if (left <= 0) break
          looked += 1
          next = Number(found.at)
          const row = toRow(found)
          if (!wanted(row)) continue
          const whole = withValue(row, found)
          rows.push(whole)
          left -= sizeOfRow(whole)
        }
        return { rows, next, done: left > 0 && looked < rowsAtOnce, vector: vectorOf('seq') }
      }),
    byKey: ([bucket, key], bytes, wanted) =>
      atOnce(() => {
        const rows: Row[] = []
        const whether: boolean[] = []
        let left = bytes
        for (const found of byKey.iterate(bucket, Buffer.from(key), rowsAtOnce) as Iterable<Found>) {
          if (left <= 0) break
          const row = toRow(found)
          const want = wanted(row)
          const whole = want ? withValue(row, found) : row
          rows.push(whole)
          whether.push(want)
          left -= sizeOfRow(whole)
        }
        return { rows, wanted: whether, done: left > 0 && rows.length < rowsAtOnce }
      }),
    range: ([bucket, key], last) =>
      (last === undefined
        ? rest.all(bucket, Buffer.from(key))
        : range.all(bucket, Buffer.from(key), last[0], Buffer.from(last[1]))
      ).map((found) => [Number(found.at), toRow(found as Found)] as const as [number, Row]),
    lastOf: (bucket) =>
      lastOf.all(bucket).map((row) => [String(row.scope), String(row.origin), Number(row.seq)] as const),
    blobsOf: (bucket) => blobsOf.all(bucket).map((row) => String(row.blob)),
    bucketsOfBlob: (hash) => ofBlob.all(hash).map((row) => String(row.bucket)),
    sizes: (bucket, after, limit) =>
      sizes.all(bucket, Buffer.from(after), limit).map((row) => ({
        key: text((row as Found).key),
        bytes: (row as Found).key.byteLength + Number(row.bytes ?? 0),
        dead: row.dead === 1,
      })),
    close: () => database.close(),
  }
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}

function toRow(found: Found): Row {
  return {
    bucket: String(found.bucket),
    key: text(found.key),
    time: Number(found.time),
    writer: String(found.writer),
    scope: String(found.scope),
    origin: String(found.origin),
    seq: Number(found.seq),
    ...(found.expires_at !== null && { expiresAt: Number(found.expires_at) }),
    ...(found.blob !== null && { blob: String(found.blob) }),
  }
}
