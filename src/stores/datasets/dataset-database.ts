/** The database of one dataset, as the writing thread has it (`core/group-commit.ts`). */
import type { DatabaseSync } from 'node:sqlite'
import { storedColumns } from '#/core/dataset-sql/run-query.ts'
import { type DataPoint, datasetLimits } from '#/core/datasets.ts'
import type { CommitTarget } from '#/core/group-commit.ts'
import type { Bytes, EpochSeconds } from '#/core/units.ts'
import { openDurableDatabase } from '../durable-database.ts'

export interface DatasetDatabaseData {
  readonly file: string
  /** Of all points together. */
  readonly limitBytes: Bytes
}

export type Operation =
  | { readonly kind: 'write'; readonly points: readonly DataPoint[] }
  /** Removes some of those before this time; `more` says that some are left. */
  | { readonly kind: 'expire'; readonly before: EpochSeconds }

export interface Answer {
  readonly more: boolean
  /** Points that went because there was no room for others. */
  readonly pushedOut: number
  /** Time of the oldest point. */
  readonly oldest?: EpochSeconds
}

/** A double that is no number is NULL: SQLite has no NaN. */
const columns = [...storedColumns].map(([name, type]) => `${name} ${columnType(type)}`)

function columnType(type: string): string {
  return type === 'String' ? 'TEXT NOT NULL' : type === 'Float64' ? 'REAL' : 'INTEGER NOT NULL'
}

const schema = `
  CREATE TABLE IF NOT EXISTS points (seq INTEGER PRIMARY KEY AUTOINCREMENT, bytes INTEGER NOT NULL, ${columns.join(', ')}) STRICT;
  CREATE INDEX IF NOT EXISTS by_time ON points (timestamp);
  CREATE TABLE IF NOT EXISTS totals (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL) STRICT;
  INSERT OR IGNORE INTO totals VALUES (1, 0);
`

export function open({ file, limitBytes }: DatasetDatabaseData): CommitTarget<Operation, Answer> {
  const database = openDurableDatabase(file, schema)
  return { database, apply: createApply(database, limitBytes) }
}

/** What a row takes besides its texts and numbers, roughly. */
const rowBytes = 64

function createApply(database: DatabaseSync, limitBytes: Bytes) {
  const names = ['bytes', ...storedColumns.keys()]
  const insert = database.prepare(
    `INSERT INTO points (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
  )
  const add = database.prepare('UPDATE totals SET bytes = bytes + ?')
  const total = database.prepare('SELECT bytes FROM totals')
  const oldest = database.prepare('SELECT min(timestamp) AS at FROM points')
  const old = database.prepare(
    'DELETE FROM points WHERE seq IN (SELECT seq FROM points WHERE timestamp < ? ORDER BY timestamp LIMIT 1000) RETURNING bytes',
  )
  const first = database.prepare(
    'DELETE FROM points WHERE seq IN (SELECT seq FROM points ORDER BY seq LIMIT 1000) RETURNING bytes',
  )
  const removed = (rows: readonly unknown[]): number => {
    add.run(-(rows as readonly { bytes: number }[]).reduce((sum, { bytes }) => sum + bytes, 0))
    return rows.length
  }

  function write(points: readonly DataPoint[]): number {
    let added = 0
    for (const { at, index, blobs, doubles } of points) {
      const texts = [index, ...padded<string>(blobs, datasetLimits.blobs, '')]
      const bytes = rowBytes + texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) + 8 * doubles.length
      insert.run(bytes, at, ...texts, ...padded<number | null>(doubles, datasetLimits.doubles, 0))
      added += bytes
    }
    add.run(added)
    let pushedOut = 0
    while ((total.get() as { bytes: number }).bytes > limitBytes) {
      const gone = removed(first.all())
      if (gone === 0) break
      pushedOut += gone
    }
    return pushedOut
  }

  return (batch: readonly Operation[]): Answer[] => {
    const done = batch.map((operation) => {
      if (operation.kind === 'write') return { more: false, pushedOut: write(operation.points) }
      return { more: removed(old.all(operation.before)) === 1000, pushedOut: 0 }
    })
    const at = (oldest.get() as { at: number | null }).at
    return done.map((answer) => (at === null ? answer : { ...answer, oldest: at }))
  }
}

function padded<Item>(items: readonly Item[], length: number, absent: Item): Item[] {
  return Array.from({ length }, (_, index) => (index < items.length ? items[index]! : absent))
}
