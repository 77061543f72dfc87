/**
 * Reads on the thread that asks: a small row costs about 4 µs, while a hop to another thread and back costs about 10 µs
 * before anything is read (docs/decisions/0003-fabric-on-sqlite.md).
 */
import type { StatementSync } from 'node:sqlite'
import type { Entry, ListOptions } from '#/core/ports.ts'
import type { EpochMs } from '#/core/units.ts'
import { openForReading } from './schema.ts'

export interface Reader {
  get(bucket: string, key: string, now: EpochMs): Entry | undefined
  list(bucket: string, options: ListOptions, now: EpochMs): Entry[]
  close(): void
}

interface Row {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly revision: number
  readonly expires_at: number | null
}

export function openReader(file: string): Reader {
  const database = openForReading(file)
  const live = '(expires_at IS NULL OR expires_at > ?)'
  const get = database.prepare(
    `SELECT key, value, revision, expires_at FROM entries WHERE bucket = ? AND key = ? AND ${live}`,
  )
  const prepared = new Map<string, StatementSync>()

  function prepare(value: string, bounds: string): StatementSync {
    const sql = `SELECT key, ${value} AS value, revision, expires_at FROM entries
      WHERE bucket = ?${bounds} AND ${live} ORDER BY key LIMIT ?`
    const statement = prepared.get(sql) ?? database.prepare(sql)
    prepared.set(sql, statement)
    return statement
  }

  return {
    get(bucket, key, now) {
      const row = get.get(bucket, Buffer.from(key), now) as Row | undefined
      return row && toEntry(row)
    },
    list(bucket, { prefix = '', after, limit, keysOnly = false, valueBytes }, now) {
      const cut = keysOnly ? 0 : valueBytes
      const low = Buffer.from(prefix)
      const parameters: (Uint8Array | string | number)[] = cut === undefined ? [bucket] : [cut, bucket]
      let bounds = ''
      if (after !== undefined) {
        bounds += ' AND key > ?'
        parameters.push(Buffer.from(after))
      }
      if (low.length > 0) {
        bounds += ' AND key >= ? AND key < ?'
        parameters.push(low, firstAfterPrefix(low))
      }
      const statement = prepare(cut === undefined ? 'value' : 'substr(value, 1, ?)', bounds)
      return (statement.all(...parameters, now, limit) as unknown as Row[]).map(toEntry)
    },
    close() {
      database.close()
    },
  }
}

/** The first key behind all that start with these bytes; UTF-8 never holds 0xFF, so the last byte can be raised. */
function firstAfterPrefix(prefix: Buffer): Buffer {
  const next = Buffer.from(prefix)
  next[next.length - 1]! += 1
  return next
}

function toEntry(row: Row): Entry {
  const key = Buffer.from(row.key.buffer, row.key.byteOffset, row.key.byteLength).toString()
  const { value, revision, expires_at: expiresAt } = row
  return expiresAt === null ? { key, value, revision } : { key, value, revision, expiresAt }
}
