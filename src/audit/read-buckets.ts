/**
 * Whose records lie in a database of buckets: the embedded fabric, a node's copy of a shared one. Rows that are expired but
 * still there count: they are bytes on the disk.
 */
import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { Owner } from '#/core/holdings.ts'
import type { CodeTally } from './read-code.ts'
import { recordBuckets } from './read-records.ts'
import type { Tally } from './tally.ts'

interface Row {
  readonly bucket: string
  readonly key: Uint8Array
  readonly bytes: number
}

/** Whose a record is, by its bucket and key; undefined: the platform's own, or nobody's in particular. */
export function ownerOfRecord(bucket: string, key: string): Owner | undefined {
  if (bucket.startsWith('kv/')) return { kind: 'store', id: bucket.slice('kv/'.length) }
  const [, second = ''] = key.split('/')
  // What stays in some countries bears them in its bucket's name.
  switch (bucket.split('@', 1)[0]) {
    // HASH/STORE/KEY: the key is the program's own word.
    case 'kv-blobs':
      return { kind: 'store', id: second }
    // KIND/ID
    case 'item-stores':
      return { kind: 'store', id: second }
    default:
      return undefined
  }
}

const tables = {
  /** The fabric's. */
  entries: ['bucket', 'key', 'value'],
  /** Of what a node merges with others. */
  rows: ['bucket', 'key', 'value'],
  /** Of what a node serves. */
  parts: ['kind', 'name', 'value'],
}

/** The table that says whose its rows are. */
export function tableOf(database: DatabaseSync): keyof typeof tables | undefined {
  return (Object.keys(tables) as (keyof typeof tables)[]).find((table) => {
    const columns = database.prepare('SELECT name FROM pragma_table_info(?)').all(table) as { name: string }[]
    return tables[table].every((wanted) => columns.some(({ name }) => name === wanted))
  })
}

/** What a node serves, so that it can start from it. */
export function readServed(database: DatabaseSync, place: string, code: CodeTally): void {
  const rows = database
    .prepare(`SELECT kind, name, value FROM parts WHERE kind IN ('program', 'site', 'resource')`)
    .iterate()
  for (const { kind, name, value } of rows as Iterable<{ kind: string; name: string; value: string }>)
    code.record(kind, name, Buffer.from(value), place)
}

/** Rows that say which blob they name; names of deleted keys count too. */
export function readRows(database: DatabaseSync, file: string, place: string, tally: Tally): void {
  const rows = database
    .prepare('SELECT bucket, key, blob, length(key) + coalesce(length(value), 0) AS bytes FROM rows')
    .iterate() as Iterable<Row & { readonly blob: string | null }>
  for (const { bucket, key, blob, bytes } of rows) {
    const owner = ownerOfRecord(bucket, Buffer.from(key).toString('utf8'))
    if (owner === undefined) continue
    tally.add(owner, `${place}#kv`, bytes)
    if (blob !== null) addBlob(owner, blob, file, place, tally)
  }
}

const parsedBuckets = ['item-stores', 'program-versions', 'certificates', 'control-log', ...recordBuckets]
  .map((name) => `'${name}'`)
  .join(', ')

/** `file` is the database's path, `place` how it is shown; blobs lie in the folder `blobs` beside it. */
export function readBuckets(database: DatabaseSync, file: string, place: string, tally: Tally, code: CodeTally): void {
  const rows = database
    .prepare(
      `SELECT bucket, key, length(key) + length(value) AS bytes,
       CASE WHEN bucket IN (${parsedBuckets}) OR bucket LIKE 'service-versions@%' THEN CAST(value AS BLOB) END AS value
       FROM entries`,
    )
    .iterate()
  for (const { bucket, key, bytes, value } of rows as Iterable<Row & { readonly value: Uint8Array | null }>) {
    if (value !== null && bucket === 'item-stores' && isReference(Buffer.from(value))) continue
    const text = typeof key === 'string' ? key : Buffer.from(key).toString('utf8')
    if (bucket.startsWith('placed-blobs@')) code.row(bucket, text, bytes, `${place}#${bucket}`)
    if (value !== null) code.record(bucket, text, value, `${place}#${bucket}`)
    const owner = ownerOfRecord(bucket, text)
    if (owner === undefined) continue
    tally.add(owner, `${place}#${bucket.startsWith('kv/') ? 'kv' : bucket}`, bytes)
    if (bucket === 'kv-blobs') addBlob(owner, text.slice(0, 64), file, place, tally)
  }
  addCode(database, file, place, tally)
}

/** The name and countries of a store that lies elsewhere. In a copy a revision of 8 bytes stands in front. */
function isReference(value: Buffer): boolean {
  for (const text of [value, value.subarray(8)])
    try {
      const { within, items } = JSON.parse(text.toString('utf8')) as { within?: unknown; items?: unknown }
      return within !== undefined && items === undefined
    } catch {
      // Not where its text begins.
    }
  return false
}

/** Modules and files of programs, which their versions name by hash. */
function addCode(database: DatabaseSync, file: string, place: string, tally: Tally): void {
  const versions = database.prepare(`SELECT key, value FROM entries WHERE bucket = 'program-versions'`).iterate()
  for (const { key, value } of versions as Iterable<{ key: Uint8Array; value: Uint8Array }>) {
    const [program = ''] = Buffer.from(key).toString('utf8').split('/')
    const hashes = new Set(
      Buffer.from(value)
        .toString('utf8')
        .match(/\b[0-9a-f]{64}\b/g) ?? [],
    )
    for (const hash of hashes) addBlob({ kind: 'program', id: program }, hash, file, place, tally)
  }
}

function addBlob(owner: Owner, hash: string, file: string, place: string, tally: Tally): void {
  const path = join(dirname(file), 'blobs', hash.slice(0, 2), hash)
  if (existsSync(path)) tally.add(owner, `${dirname(place)}/blobs`, statSync(path).size)
}
