/** Rows found and placed: the statements that every operation of the writing thread shares. */
import type { DatabaseSync } from 'node:sqlite'
import type { EpochMs } from '#/core/units.ts'
import type { HybridTime, Stamp } from './hybrid-time.ts'
import type { Origin, Row, Scope } from './operation.ts'

export interface Found extends Stamp {
  readonly at: number
  readonly scope: Scope
  /** Its stamp may still be put back, to after this. */
  readonly base: HybridTime | undefined
  /** Has a value that has not expired. */
  readonly live: boolean
}

/** A row without its place in an order. */
export type Fields = Stamp & {
  readonly [Name in 'bucket' | 'key' | 'scope']: string
} & { readonly [Name in 'value' | 'expiresAt' | 'blob']?: Row[Name] | undefined }

export interface Place {
  readonly origin: Origin
  /** Before and after the operations of one transaction. */
  begin(): void
  end(): void
  find(bucket: string, key: string, now: EpochMs): Found | undefined
  put(row: Row): number
  /** As the next operation of this node; with a `base` its stamp may be put back until somebody is met. */
  own(fields: Fields, base: HybridTime | undefined): { readonly at: number; readonly seq: number }
  /** The row once more, as the next operation of this node in this scope. */
  again(at: number, scope: Scope): void
  /** After which time a write that replaces this has to stay; absent while somebody may hear of it: its stamp stands. */
  baseOf(before: Found | undefined): HybridTime | undefined
  /** A row that came to be known lost against this one, and has to go on losing. */
  beat(before: Found, time: HybridTime): void
  /** Nobody hears of this node's writes from now on. */
  alone(): void
  /** Somebody does: own writes that nobody saw and that are ahead of `latest` are put back to it. Answers how many. */
  met(latest: HybridTime): number
}

export function createPlace(database: DatabaseSync): Place {
  const origin = String(database.prepare(`SELECT value FROM facts WHERE name = 'origin'`).get()!.value)
  const find = database.prepare(
    `SELECT at, time, writer, scope, base, value IS NOT NULL AND (expires_at IS NULL OR expires_at > ?) AS live
     FROM rows WHERE bucket = ? AND key = ?`,
  )
  const write = database.prepare(
    `INSERT OR REPLACE INTO rows (bucket, key, value, time, writer, scope, origin, seq, expires_at, blob, base)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const again = database.prepare(
    `INSERT OR REPLACE INTO rows (bucket, key, value, time, writer, scope, origin, seq, expires_at, blob, base)
     SELECT bucket, key, value, time, writer, ?, ?, ?, expires_at, blob, CASE WHEN at > ? THEN base END FROM rows WHERE at = ?`,
  )
  const readSeq = database.prepare('SELECT seq FROM vector WHERE scope = ? AND origin = ?')
  const saveSeq = database.prepare(
    `INSERT INTO vector (scope, origin, seq) VALUES (?, ?, ?) ON CONFLICT (scope, origin) DO UPDATE SET seq = excluded.seq`,
  )
  const addBucket = database.prepare('INSERT OR IGNORE INTO buckets VALUES (?, ?)')
  const readUnsent = database.prepare(`SELECT value FROM facts WHERE name = 'unsent'`)
  const saveUnsent = database.prepare(
    `INSERT OR IGNORE INTO facts VALUES ('unsent', (SELECT coalesce(max(at), 0) FROM rows))`,
  )
  const clearUnsent = database.prepare(`DELETE FROM facts WHERE name = 'unsent'`)
  const raiseBase = database.prepare('UPDATE rows SET base = max(base, ?) WHERE at = ?')
  const putBack = database.prepare(
    'UPDATE rows SET time = max(?1, base + 1) WHERE at > ?2 AND base IS NOT NULL AND time > max(?1, base + 1)',
  )

  // Read anew in each transaction, since the one before may have been rolled back.
  const seqs = new Map<Scope, number>()
  const buckets = new Set<string>()
  /** Since which `at` nobody heard of this node's writes; `Infinity` while somebody may have. */
  let unsent = 0

  function nextSeq(scope: Scope): number {
    const seq = (seqs.get(scope) ?? Number(readSeq.get(scope, origin)?.seq ?? 0)) + 1
    seqs.set(scope, seq)
    return seq
  }
  function insert(row: Fields & Pick<Row, 'origin' | 'seq'>, base: HybridTime | undefined): number {
    if (!buckets.has(row.bucket)) {
      addBucket.run(row.bucket, row.scope)
      buckets.add(row.bucket)
    }
    const { bucket, key, value, time, writer, scope, seq, expiresAt, blob } = row
    const { lastInsertRowid } = write.run(
      bucket,
      Buffer.from(key),
      value ?? null,
      time,
      writer,
      scope,
      row.origin,
      seq,
      expiresAt ?? null,
      blob ?? null,
      base ?? null,
    )
    return Number(lastInsertRowid)
  }
  function readUnsentNow(): number {
    const row = readUnsent.get()
    return row === undefined ? Number.POSITIVE_INFINITY : Number(row.value)
  }

  return {
    origin,
    begin() {
      seqs.clear()
      buckets.clear()
      unsent = readUnsentNow()
    },
    end() {
      for (const [scope, seq] of seqs) saveSeq.run(scope, origin, seq)
    },
    find(bucket, key, now) {
      const row = find.get(now, bucket, Buffer.from(key))
      if (row === undefined) return undefined
      return {
        at: Number(row.at),
        time: Number(row.time),
        writer: String(row.writer),
        scope: String(row.scope),
        base: row.base === null || Number(row.at) <= unsent ? undefined : Number(row.base),
        live: row.live === 1,
      }
    },
    put: (row) => insert(row, undefined),
    own(fields, base) {
      const seq = nextSeq(fields.scope)
      return { at: insert({ ...fields, origin, seq }, base), seq }
    },
    again: (at, scope) => void again.run(scope, origin, nextSeq(scope), unsent, at),
    baseOf(before) {
      if (unsent === Number.POSITIVE_INFINITY) return undefined
      return before === undefined ? 0 : (before.base ?? before.time)
    },
    beat(before, time) {
      if (before.base !== undefined && before.base < time) raiseBase.run(time, before.at)
    },
    alone() {
      saveUnsent.run()
      unsent = readUnsentNow()
    },
    met(latest) {
      const { changes } = putBack.run(latest, unsent)
      clearUnsent.run()
      unsent = Number.POSITIVE_INFINITY
      return Number(changes)
    },
  }
}
