/**
 * Durable writes that share one sync of the disk: a database of SQLite with its only writing connection in a thread of its
 * own. A room says what its operations do; how they are gathered, committed and tried again alone is handed to it.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { Limits } from './limits.ts'
import type { Clock, EpochMs } from './units.ts'

export interface GroupCommit<Operation, Answer> {
  /** Resolves after the COMMIT that holds it. Rejects with `storage_full`, `overloaded` or `internal`. */
  submit(operation: Operation): Promise<Answer>
  /** Finishes what was submitted. */
  close(): Promise<void>
}

export interface GroupCommitOptions<Operation> {
  /** A module that exports `open(data): CommitTarget`; it runs in the writing thread. */
  readonly module: URL
  /** Copied to the thread. */
  readonly data: unknown
  /** Of the thread, and of what an error speaks of. */
  readonly name: string
  /** Bytes that an operation holds while it waits. */
  readonly sizeOf: (operation: Operation) => number
  /** Read once for each batch. */
  readonly clock: Clock
  readonly limits: Pick<Limits, 'fabricBatch' | 'fabricQueueBytes'>
}

/** Starts the thread; rejects when the database cannot be opened. */
export type OpenGroupCommit = <Operation, Answer>(
  options: GroupCommitOptions<Operation>,
) => Promise<GroupCommit<Operation, Answer>>

/** What a module opens in the writing thread. */
export interface CommitTarget<Operation, Answer> {
  readonly database: DatabaseSync
  /** Inside a transaction, which is rolled back when this throws; the operations are then tried one by one. */
  apply(batch: readonly Operation[], now: EpochMs): Answer[]
  /** After each COMMIT. */
  committed?(): void
}
