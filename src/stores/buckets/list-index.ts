/**
 * A page of a bucket's keys. With a delimiter each group of keys is found with one look and skipped with another, so that a
 * page costs what is on it, however many keys a group has.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { BucketObject, ListPage, ListWish, Troubled } from '#/core/buckets.ts'
import type { ReadLimits } from './read-index.ts'
import { behindPrefix, keyBytes, keyText, type ObjectRow, toObject } from './rows.ts'

interface Bound {
  readonly key: Uint8Array
  readonly included: boolean
}

type Rows = (low: Bound, high: Uint8Array | null, limit: number) => ObjectRow[]
type Entry = { readonly row: ObjectRow } | { readonly group: string }

/** Keys read at once where they may fall into groups. */
const groupLook = 32
/** JSON around what an object's columns hold, roughly. */
const overheadBytes = 400

export function createLister(database: DatabaseSync, limits: ReadLimits): (wish: ListWish) => ListPage | Troubled {
  const rows = rowsOf(database)

  return (wish) => {
    const { limit = limits.bucketListKeys } = wish
    if (!Number.isInteger(limit) || limit < 1 || limit > limits.bucketListKeys) return { trouble: 'bad_limit' }
    const low = boundOf(wish)
    if (low === undefined) return { trouble: 'bad_argument', detail: 'The cursor is not one of a list.' }
    const objects: BucketObject[] = []
    const prefixes: string[] = []
    let bytes = 0
    let cursor: string | undefined
    for (const entry of entries(rows, low, wish, limit)) {
      const isFull = objects.length + prefixes.length >= limit || bytes > limits.bucketListBytes
      if (isFull && cursor !== undefined) return { objects, prefixes, cursor }
      if ('group' in entry) {
        prefixes.push(entry.group)
        bytes += Buffer.byteLength(entry.group)
        cursor = toCursor('groups', entry.group)
      } else {
        const object = shown(entry.row, wish)
        objects.push(object)
        bytes += overheadBytes + entry.row.key.length + sizeOf(object)
        cursor = toCursor('keys', object.key)
      }
    }
    return { objects, prefixes }
  }
}

function* entries(rows: Rows, from: Bound, wish: ListWish, limit: number): Generator<Entry> {
  const { prefix = '', delimiter = '' } = wish
  const high = prefix === '' ? null : behindPrefix(keyBytes(prefix))
  const look = delimiter === '' ? limit + 1 : groupLook
  let low: Bound | undefined = from
  while (low !== undefined) {
    const found = rows(low, high, look)
    low = undefined
    for (const row of found) {
      const group = groupOf(keyText(row.key), prefix, delimiter)
      if (group === undefined) {
        yield { row }
        low = { key: row.key, included: false }
        continue
      }
      yield { group }
      low = { key: behindPrefix(keyBytes(group)), included: true }
      break
    }
  }
}

function groupOf(key: string, prefix: string, delimiter: string): string | undefined {
  if (delimiter === '') return undefined
  const at = key.indexOf(delimiter, prefix.length)
  return at === -1 ? undefined : key.slice(0, at + delimiter.length)
}

function rowsOf(database: DatabaseSync): Rows {
  const statements = new Map<string, StatementSync>()
  return (low, high, limit) => {
    const sql = `SELECT * FROM objects WHERE key ${low.included ? '>=' : '>'} ?${high === null ? '' : ' AND key < ?'}
      ORDER BY key LIMIT ?`
    const statement = statements.get(sql) ?? database.prepare(sql)
    statements.set(sql, statement)
    const bounds = high === null ? [low.key] : [low.key, high]
    return statement.all(...bounds, limit) as unknown as ObjectRow[]
  }
}

function shown(row: ObjectRow, { include = [] }: ListWish): BucketObject {
  const object = toObject(row)
  const http = include.includes('http') ? object.http : {}
  const custom = include.includes('custom') ? object.custom : {}
  return { ...object, http, custom }
}

const sizeOf = ({ http, custom }: BucketObject) => JSON.stringify(http).length + JSON.stringify(custom).length

/** Where a page begins: the furthest of prefix, `startAfter` and cursor. `undefined`: the cursor is none of ours. */
function boundOf({ prefix = '', startAfter, cursor }: ListWish): Bound | undefined {
  const bounds: Bound[] = [{ key: keyBytes(prefix), included: true }]
  if (startAfter !== undefined) bounds.push({ key: keyBytes(startAfter), included: false })
  if (cursor !== undefined) {
    const read = fromCursor(cursor)
    if (read === undefined) return undefined
    const { after, text } = read
    bounds.push(
      after === 'keys'
        ? { key: keyBytes(text), included: false }
        : { key: behindPrefix(keyBytes(text)), included: true },
    )
  }
  return bounds.reduce((one, other) => {
    const order = Buffer.compare(one.key, other.key)
    if (order === 0) return one.included ? other : one
    return order > 0 ? one : other
  })
}

/** A cursor says what was shown last, so that what is written meanwhile behind it is shown too. */
function toCursor(after: 'keys' | 'groups', text: string): string {
  return Buffer.from(`${after} ${text}`).toString('base64url')
}

function fromCursor(cursor: string): { readonly after: 'keys' | 'groups'; readonly text: string } | undefined {
  const read = /^(keys|groups) (.+)$/s.exec(Buffer.from(cursor, 'base64url').toString())
  return read === null ? undefined : { after: read[1] as 'keys' | 'groups', text: read[2]! }
}
