/**
 * What the writing thread does, one operation at a time, inside a transaction. Pure of threads: given a database.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { CommitTarget } from '#/core/group-commit.ts'
import type { Revision } from '#/core/ports.ts'
import type { EpochMs, Milliseconds } from '#/core/units.ts'
import { openForWriting } from './schema.ts'

export type Operation =
  | {
      readonly kind: 'put'
      readonly bucket: string
      readonly key: string
      readonly value: Uint8Array
      readonly expect: Revision | undefined
      readonly expiresAt: EpochMs | undefined
    }
  | { readonly kind: 'delete'; readonly bucket: string; readonly key: string; readonly expect: Revision | undefined }
  /** Answers the epoch, or 0 while somebody else holds it. */
  | { readonly kind: 'acquire'; readonly name: string; readonly ttl: Milliseconds }
  | { readonly kind: 'renew'; readonly name: string; readonly epoch: number; readonly ttl: Milliseconds }
  | { readonly kind: 'release'; readonly name: string; readonly epoch: number }
  /** Overwrites what was deleted, once it is committed; `cleaned` answers 1 when the last one could. */
  | { readonly kind: 'clean' }
  | { readonly kind: 'cleaned' }

/** A revision, an epoch, or 1; 0 says that the condition did not hold. */
export type Answer = number

export interface WriterData {
  readonly file: string
  readonly limitBytes: number
}

/** Expired rows removed with each transaction: more than one write can add, so they never pile up. */
const expiredPerWrite = 2

/** Opens the database for the writing thread. */
export function open({ file, limitBytes }: WriterData): CommitTarget<Operation, Answer> {
  const database = openForWriting(file, limitBytes)
  const readRevision = database.prepare(`SELECT value FROM counters WHERE name = 'revision'`)
  const saveRevision = database.prepare(`UPDATE counters SET value = ? WHERE name = 'revision'`)
  const expire = database.prepare(
    `DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
  )
  const apply = createApply(database)
  const cleaning = createCleaning(database)
  return {
    database,
    committed: cleaning.committed,
    apply(batch, now) {
      const before = Number(readRevision.get()!.value)
      let revision = before
      const answers = batch.map((operation) => cleaning.apply(operation) ?? apply(operation, now, () => ++revision))
      if (revision !== before) saveRevision.run(revision)
      expire.run(now, batch.length * expiredPerWrite)
      return answers
    },
  }
}

/** A database is rewritten outside of a transaction, so it waits for the COMMIT. */
function createCleaning(database: DatabaseSync) {
  let wanted = false
  let done = 0
  return {
    apply({ kind }: Operation): Answer | undefined {
      if (kind === 'clean') wanted = true
      return kind === 'clean' ? 1 : kind === 'cleaned' ? done : undefined
    },
    committed() {
      if (!wanted) return
      wanted = false
      try {
        database.exec('PRAGMA busy_timeout = 2000; VACUUM')
        // The log holds what was removed until it is emptied.
        done = database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()!.busy === 0 ? 1 : 0
      } catch {
        done = 0
      }
    },
  }
}

function createApply(database: DatabaseSync) {
  const find = database.prepare(
    'SELECT revision FROM entries WHERE bucket = ? AND key = ? AND (expires_at IS NULL OR expires_at > ?)',
  )
  const write = database.prepare(
    `INSERT INTO entries (bucket, key, value, revision, expires_at) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (bucket, key) DO UPDATE
     SET value = excluded.value, revision = excluded.revision, expires_at = excluded.expires_at`,
  )
  const remove = database.prepare('DELETE FROM entries WHERE bucket = ? AND key = ?')
  // A row is never removed, so that epochs grow for ever.
  const acquire = database.prepare(
    `INSERT INTO leases VALUES (?, 1, ?) ON CONFLICT (name) DO UPDATE
     SET epoch = epoch + 1, expires_at = excluded.expires_at WHERE expires_at <= ? RETURNING epoch`,
  )
  const renew = database.prepare('UPDATE leases SET expires_at = ? WHERE name = ? AND epoch = ? AND expires_at > ?')
  const release = database.prepare('UPDATE leases SET expires_at = 0 WHERE name = ? AND epoch = ?')

  return (operation: Operation, now: EpochMs, nextRevision: () => Revision): number => {
    switch (operation.kind) {
      case 'put': {
        const { bucket, value, expect, expiresAt } = operation
        const key = Buffer.from(operation.key)
        if (expect !== undefined && expect !== Number(find.get(bucket, key, now)?.revision ?? 0)) return 0
        const revision = nextRevision()
        write.run(bucket, key, value, revision, expiresAt ?? null)
        return revision
      }
      case 'delete': {
        const key = Buffer.from(operation.key)
        const current = Number(find.get(operation.bucket, key, now)?.revision ?? 0)
        if (current === 0 || (operation.expect ?? current) !== current) return 0
        remove.run(operation.bucket, key)
        nextRevision()
        return 1
      }
      case 'acquire':
        return Number(acquire.get(operation.name, now + operation.ttl, now)?.epoch ?? 0)
      case 'renew':
        return Number(renew.run(now + operation.ttl, operation.name, operation.epoch, now).changes)
      case 'release':
        return Number(release.run(operation.name, operation.epoch).changes)
      default:
        return 0
    }
  }
}
