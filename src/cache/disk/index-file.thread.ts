/**
 * The thread that owns the index database: fsync blocks it and nobody else. Rows are packed places of one segment, or the
 * offsets of those that are gone; a transaction holds one flush. An index that cannot be written is deleted: a lost index
 * is a cold start, an outdated one would bring back what was removed.
 */
import { rmSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { withoutGone } from './places.ts'

export interface IndexRow {
  readonly segment: number
  /** `put`: packed places; `gone`: packed offsets; `rewrite`: the places that replace all rows; `drop`: no segment. */
  readonly kind: 'put' | 'gone' | 'rewrite' | 'drop'
  readonly packed: Uint8Array
}

export type IndexRequest = { readonly rows: readonly IndexRow[]; readonly anew: boolean } | 'close'

/** `empty`: what was reported before counts for nothing. */
export type IndexReport =
  | { readonly kind: 'segment'; readonly segment: number; readonly packed: Uint8Array }
  | { readonly kind: 'opened'; readonly seed: number; readonly bytes: number; readonly empty: boolean }
  | { readonly kind: 'in-use' }
  | { readonly kind: 'committed'; readonly bytes: number }
  | { readonly kind: 'failed'; readonly message: string }

export interface IndexData {
  readonly file: string
  readonly seed: number
}

const version = 1
const port = parentPort!
const { file, seed } = workerData as IndexData

const report = (message: IndexReport, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer)

function open(): DatabaseSync {
  const database = new DatabaseSync(file)
  database.exec(`
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA wal_autocheckpoint = 256;
    CREATE TABLE IF NOT EXISTS about (version INTEGER, seed INTEGER);
    CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, segment INTEGER, gone INTEGER, packed BLOB);
    CREATE INDEX IF NOT EXISTS rows_by_segment ON rows (segment, id);
  `)
  const about = database.prepare('SELECT version FROM about').get()
  if (about === undefined) database.prepare('INSERT INTO about VALUES (?, ?)').run(version, seed)
  else if (about.version !== version) throw new Error('written by another version')
  return database
}

function erase(): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(file + suffix, { force: true })
}

/** Reports what each segment holds, and at the end the seed of the hashes. */
function load(database: DatabaseSync): void {
  const rows = database.prepare('SELECT segment, gone, packed FROM rows ORDER BY segment, id').iterate() as Iterable<{
    segment: number
    gone: number
    packed: Uint8Array
  }>
  let segment = -1
  let packed: Uint8Array[] = []
  let gone = new Set<number>()
  const deliver = (): void => {
    if (segment < 0) return
    const kept = withoutGone(packed, gone)
    report({ kind: 'segment', segment, packed: kept }, [kept.buffer])
  }
  for (const row of rows) {
    if (row.segment !== segment) {
      deliver()
      segment = row.segment
      packed = []
      gone = new Set()
    }
    if (row.gone === 0) packed.push(row.packed)
    else {
      const view = new DataView(row.packed.buffer, row.packed.byteOffset, row.packed.byteLength)
      for (let at = 0; at + 4 <= row.packed.byteLength; at += 4) gone.add(view.getUint32(at, true))
    }
  }
  deliver()
  const about = database.prepare('SELECT seed FROM about').get() as { seed: number }
  report({ kind: 'opened', seed: about.seed, bytes: bytesOnDisk(), empty: false })
}

function bytesOnDisk(): number {
  let bytes = 0
  for (const suffix of ['', '-wal']) bytes += statSync(file + suffix, { throwIfNoEntry: false })?.size ?? 0
  return bytes
}

function commit(database: DatabaseSync, rows: readonly IndexRow[]): void {
  const insert = database.prepare('INSERT INTO rows (segment, gone, packed) VALUES (?, ?, ?)')
  const clear = database.prepare('DELETE FROM rows WHERE segment = ?')
  database.exec('BEGIN')
  for (const { segment, kind, packed } of rows) {
    if (kind === 'drop' || kind === 'rewrite') clear.run(segment)
    if (kind !== 'drop') insert.run(segment, kind === 'gone' ? 1 : 0, packed)
  }
  database.exec('COMMIT')
}

function isLocked(error: unknown): boolean {
  return (error as { errcode?: number }).errcode === 5
}

let database: DatabaseSync | undefined

function closeQuietly(): void {
  try {
    database?.close()
  } catch {
    // It goes away with its file.
  }
  database = undefined
}

function start(): void {
  try {
    database = open()
    load(database)
  } catch (error) {
    if (isLocked(error)) {
      report({ kind: 'in-use' })
      return
    }
    // Whatever was reported of a damaged index is checked by the records themselves.
    closeQuietly()
    erase()
    try {
      database = open()
      report({ kind: 'opened', seed, bytes: bytesOnDisk(), empty: true })
    } catch (again) {
      closeQuietly()
      report({ kind: 'failed', message: (again as Error).message })
      report({ kind: 'opened', seed, bytes: 0, empty: true })
    }
  }
}

function answer(request: Exclude<IndexRequest, 'close'>): void {
  try {
    if (request.anew) {
      closeQuietly()
      erase()
      database = open()
    }
    if (database === undefined) throw new Error('the index has no file')
    commit(database, request.rows)
    report({ kind: 'committed', bytes: bytesOnDisk() })
  } catch (error) {
    closeQuietly()
    erase()
    report({ kind: 'failed', message: (error as Error).message })
  }
}

port.on('message', (request: IndexRequest) => {
  if (request !== 'close') return answer(request)
  closeQuietly()
  port.close()
})
start()
