/**
 * What the writing thread does to the rows, one operation at a time, inside a transaction. Pure of threads: `open` gives
 * the target of a group commit.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { CommitTarget } from '#/core/group-commit.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import type { EpochMs, Milliseconds } from '#/core/units.ts'
import { openForWriting } from './database.ts'
import { type HybridTime, hybridTime, isLater, nextTime } from './hybrid-time.ts'
import type { Origin, Row, Scope } from './operation.ts'
import { createPlace, type Place } from './place-row.ts'
import type { Mark } from './vector.ts'

export interface RowsData {
  readonly file: string
  readonly node: string
  readonly limitBytes: number
  /** How long tombstones are kept. */
  readonly tombstoneMs: Milliseconds
}

export type Operation =
  | {
      readonly kind: 'put'
      readonly bucket: string
      readonly key: string
      /** Absent deletes. */
      readonly value: Uint8Array | undefined
      readonly expect: number | undefined
      readonly expiresAt: EpochMs | undefined
      readonly blob: BlobHash | undefined
      readonly scope: Scope
    }
  /** Rows of others; `scopes`: where each bucket belongs as this node knows it. */
  | { readonly kind: 'merge'; readonly rows: readonly Row[]; readonly scopes: Readonly<Record<string, Scope>> }
  /** What the state covers, and up to where a peer's rows were taken. */
  | {
      readonly kind: 'note'
      readonly seen?: readonly Mark[]
      readonly dropped?: readonly Mark[]
      readonly cursor?: readonly [peer: Origin, at: number]
    }
  /** Rows of a bucket that lie in another scope become operations of this node in this one. Answers how many. */
  | { readonly kind: 'move'; readonly bucket: string; readonly scope: Scope; readonly limit: number }
  /** Removes rows and their bytes without a trace: this node may not hold them. Answers how many. */
  | { readonly kind: 'remove'; readonly bucket: string; readonly limit: number }
  /** Removes rows, by `at`, that somebody who saw them has no more. */
  | { readonly kind: 'prune'; readonly at: readonly number[] }
  /** From now on nobody hears of this node's writes; `met`: somebody will, and own writes ahead of `latest` are put back. */
  | { readonly kind: 'alone' }
  | { readonly kind: 'met'; readonly latest: HybridTime }
  | { readonly kind: 'sweep' }

export interface WriteStamp {
  readonly time: HybridTime
  readonly seq: number
  /** False: nobody hears of this node, and the time may be put back before somebody does. */
  readonly stands: boolean
}

export interface Answer {
  /** A revision, or how many; 0 says that the condition did not hold. */
  readonly count: number
  /** Of a write of this node. */
  readonly stamp?: WriteStamp
  /** Rows of a merge that won: their position, their revision, and whether there was something before. */
  readonly won?: readonly (readonly [index: number, at: number, before: boolean])[]
  /** Rows of a merge that became operations of this node. */
  readonly own?: readonly Mark[]
}

const none: Answer = { count: 0 }
/** Rows expired and tombstones dropped with each operation: more than one can add, so they never pile up. */
const sweptPerWrite = 2
const sweptAtOnce = 1000

export function open(data: RowsData): CommitTarget<Operation, Answer> {
  const database = openForWriting(data.file, data.node, data.limitBytes)
  const place = createPlace(database)
  const sweep = createSweep(database, data.tombstoneMs)
  const apply = createApply(database, place)
  let removed = false
  return {
    database,
    apply(batch, now) {
      place.begin()
      const answers = batch.map((operation) => {
        if (operation.kind === 'remove') removed = true
        if (operation.kind === 'sweep') return { count: sweep(now, sweptAtOnce) }
        return apply(operation, now)
      })
      place.end()
      sweep(now, batch.length * sweptPerWrite)
      return answers
    },
    committed() {
      if (!removed) return
      // The log holds what was removed until it is emptied; while somebody reads, it cannot be.
      removed = database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()!.busy !== 0
      if (!removed) database.exec('PRAGMA secure_delete = OFF')
    },
  }
}

function createApply(database: DatabaseSync, place: Place): (operation: Operation, now: EpochMs) => Answer {
  const seen = database.prepare(
    `INSERT INTO vector (scope, origin, seq) VALUES (?, ?, ?)
     ON CONFLICT (scope, origin) DO UPDATE SET seq = max(seq, excluded.seq)`,
  )
  const dropped = database.prepare(
    `INSERT INTO vector (scope, origin, dropped) VALUES (?, ?, ?)
     ON CONFLICT (scope, origin) DO UPDATE SET dropped = max(dropped, excluded.dropped)`,
  )
  const cursor = database.prepare('INSERT INTO peers VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET at = excluded.at')
  const elsewhere = database.prepare('SELECT at FROM rows WHERE bucket = ? AND scope <> ? LIMIT ?')
  const setScope = database.prepare('UPDATE buckets SET scope = ? WHERE bucket = ?')
  const removeSome = database.prepare(
    'DELETE FROM rows WHERE at IN (SELECT at FROM rows WHERE bucket = ? ORDER BY key LIMIT ?)',
  )
  const forget = database.prepare('DELETE FROM buckets WHERE bucket = ?')
  const removeAt = database.prepare('DELETE FROM rows WHERE at = ?')

  function put(operation: Extract<Operation, { kind: 'put' }>, now: EpochMs): Answer {
    const { bucket, key, value, expect, expiresAt, blob, scope } = operation
    const before = place.find(bucket, key, now)
    const current = before?.live ? before.at : 0
    if (expect !== undefined && expect !== current) return none
    if (value === undefined && current === 0) return none
    const time = nextTime(now, before?.time)
    const fields = { bucket, key, value, expiresAt, blob, scope, time, writer: place.origin }
    const base = place.baseOf(before)
    const { at, seq } = place.own(fields, base)
    return { count: value === undefined ? 1 : at, stamp: { time, seq, stands: base === undefined } }
  }

  function merge({ rows, scopes }: Extract<Operation, { kind: 'merge' }>, now: EpochMs): Answer {
    const won: [number, number, boolean][] = []
    const own: Mark[] = []
    for (const [index, row] of rows.entries()) {
      const before = place.find(row.bucket, row.key, now)
      const scope = scopes[row.bucket]!
      const same = before !== undefined && before.time === row.time && before.writer === row.writer
      if (same && before.scope !== scope && row.scope === scope) place.put(row)
      if (before !== undefined && !isLater(row, before)) {
        // The sender counts it as seen here: a stamp that is put back stays later.
        if (!same) place.beat(before, row.time)
        continue
      }
      // From somebody who knows another scope: told again in the one that holds.
      const told = row.scope === scope ? undefined : place.own({ ...row, scope }, undefined)
      if (told !== undefined) own.push([scope, place.origin, told.seq])
      won.push([index, told?.at ?? place.put(row), before?.live ?? false])
    }
    return { count: won.length, won, ...(own.length > 0 && { own }) }
  }

  return (operation, now) => {
    switch (operation.kind) {
      case 'put':
        return put(operation, now)
      case 'merge':
        return merge(operation, now)
      case 'note':
        for (const mark of operation.seen ?? []) seen.run(...mark)
        for (const mark of operation.dropped ?? []) dropped.run(...mark)
        if (operation.cursor !== undefined) cursor.run(...operation.cursor)
        return none
      case 'move': {
        const { bucket, scope, limit } = operation
        const found = elsewhere.all(bucket, scope, limit)
        for (const { at } of found) place.again(Number(at), scope)
        if (found.length < limit) setScope.run(scope, bucket)
        return { count: found.length }
      }
      case 'remove': {
        database.exec('PRAGMA secure_delete = ON')
        const { changes } = removeSome.run(operation.bucket, operation.limit)
        if (changes < operation.limit) forget.run(operation.bucket)
        return { count: Number(changes) }
      }
      case 'prune':
        for (const at of operation.at) removeAt.run(at)
        return none
      case 'alone':
        place.alone()
        return none
      case 'met':
        return { count: place.met(operation.latest) }
      case 'sweep':
        return none
    }
  }
}

/** Expired values become tombstones, old tombstones go; what went is written down, for peers that never saw it. */
function createSweep(database: DatabaseSync, tombstoneMs: Milliseconds): (now: EpochMs, limit: number) => number {
  const expire = database.prepare(
    `UPDATE rows SET value = NULL, blob = NULL WHERE at IN
     (SELECT at FROM rows WHERE expires_at <= ? AND expires_at IS NOT NULL AND value IS NOT NULL ORDER BY expires_at LIMIT ?)`,
  )
  const drop = database.prepare(
    `DELETE FROM rows WHERE at IN (SELECT at FROM rows WHERE value IS NULL AND time < ? ORDER BY time LIMIT ?)
     RETURNING scope, origin, seq`,
  )
  const note = database.prepare(
    `INSERT INTO vector (scope, origin, dropped) VALUES (?, ?, ?)
     ON CONFLICT (scope, origin) DO UPDATE SET dropped = max(dropped, excluded.dropped)`,
  )
  return (now, limit) => {
    const expired = Number(expire.run(now, limit).changes)
    const gone = drop.all(hybridTime(now - tombstoneMs), limit)
    for (const { scope, origin, seq } of gone) note.run(scope!, origin!, seq!)
    return expired + gone.length
  }
}
