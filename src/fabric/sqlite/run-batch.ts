/** Transactions of the writing thread. Pure of threads: given an opened database. */
import type { DatabaseSync } from 'node:sqlite'
import type { CommitTarget } from '#/core/group-commit.ts'
import { type SqliteFailure, sqliteFailure } from '#/core/sqlite-failure.ts'
import type { EpochMs } from '#/core/units.ts'

export type Outcome<Answer> = { readonly ok: true; readonly answer: Answer } | SqliteFailure

/** Runs a batch as one transaction; when that fails, each operation in its own, so that one bad write harms no other. */
export function createBatchRunner<Operation, Answer>(
  target: CommitTarget<Operation, Answer>,
): (now: EpochMs, batch: readonly Operation[]) => Outcome<Answer>[] {
  const { database } = target

  function transact(now: EpochMs, batch: readonly Operation[]): Outcome<Answer>[] {
    database.exec('BEGIN IMMEDIATE')
    try {
      const answers = target.apply(batch, now)
      database.exec('COMMIT')
      return answers.map((answer) => ({ ok: true, answer }))
    } catch (error) {
      // A full disk may have rolled back by itself (https://sqlite.org/lang_transaction.html §3).
      if (database.isTransaction) database.exec('ROLLBACK')
      throw error
    }
  }

  function runOne(now: EpochMs, operation: Operation): Outcome<Answer> {
    try {
      return transact(now, [operation])[0]!
    } catch (error) {
      return sqliteFailure(error)
    }
  }

  function run(now: EpochMs, batch: readonly Operation[]): Outcome<Answer>[] {
    try {
      return transact(now, batch)
    } catch (error) {
      const failed = sqliteFailure(error)
      if (failed.full) makeRoom(database)
      if (batch.length === 1) return [failed]
    }
    return batch.map((operation) => runOne(now, operation))
  }

  return (now, batch) => {
    const outcomes = run(now, batch)
    target.committed?.()
    return outcomes
  }
}

/** Empties the write-ahead log into the database, as far as the disk allows: what comes next may fit there. */
function makeRoom(database: DatabaseSync): void {
  try {
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  } catch {
    // The disk is still full; the next write says so to whoever asks for it.
  }
}
