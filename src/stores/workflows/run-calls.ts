/** Calls of one workflow as one transaction. Pure of threads: given an opened database. */
import type { DatabaseSync } from 'node:sqlite'
import { type SqliteFailure, sqliteFailure } from '#/core/sqlite-failure.ts'
import type { EpochMs } from '#/core/units.ts'
import { answerCall, type InstanceCall, type openAnswers } from './answer-call.ts'
import { WorkflowRefusal } from './refusals.ts'

export interface OpenedInstances {
  readonly database: DatabaseSync
  readonly answers: ReturnType<typeof openAnswers>
}

export type ThreadOutcome =
  | { readonly ok: true; readonly answer: object }
  | { readonly ok: false; readonly refused: { readonly code: string; readonly message: string } }
  | SqliteFailure

export function callFailure(thrown: unknown): ThreadOutcome {
  if (thrown instanceof WorkflowRefusal) return { ok: false, refused: { code: thrown.code, message: thrown.message } }
  return sqliteFailure(thrown)
}

/**
 * Committed when this returns. A call that throws leaves nothing of itself behind, and all of the others; where it took them with
 * it, each runs alone.
 */
export function runCalls(opened: OpenedInstances, calls: readonly InstanceCall[], now: EpochMs): ThreadOutcome[] {
  try {
    return transact(opened, calls, now)
  } catch (error) {
    if (calls.length > 1) return calls.flatMap((call) => runCalls(opened, [call], now))
    return [callFailure(error)]
  }
}

function transact(opened: OpenedInstances, calls: readonly InstanceCall[], now: EpochMs): ThreadOutcome[] {
  const { database } = opened
  database.exec('BEGIN IMMEDIATE')
  try {
    const outcomes = calls.map((call) => runOne(opened, call, now))
    database.exec('COMMIT')
    return outcomes
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function runOne({ database, answers }: OpenedInstances, call: InstanceCall, now: EpochMs): ThreadOutcome {
  database.exec('SAVEPOINT one')
  let outcome: ThreadOutcome
  try {
    outcome = { ok: true, answer: answerCall(answers, call, now) }
  } catch (error) {
    // A full disk may have rolled all back by itself (https://sqlite.org/lang_transaction.html §3): what followed would be
    // committed call by call, and told as failed.
    if (!database.isTransaction) throw error
    database.exec('ROLLBACK TO one')
    outcome = callFailure(error)
  }
  database.exec('RELEASE one')
  return outcome
}
