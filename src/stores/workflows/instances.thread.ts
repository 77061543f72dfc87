/**
 * Owns the databases of workflows, so that no fsync holds up a request. One message is one batch; what a batch writes to one
 * workflow is one transaction, committed before anybody hears of it.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import type { EpochMs } from '#/core/units.ts'
import { answerCall, type InstanceCall, type InstanceLimits, openAnswers } from './answer-call.ts'
import { WorkflowRefusal } from './refusals.ts'
import { openInstances } from './schema.ts'

export interface ThreadData {
  readonly folder: string
  readonly limits: InstanceLimits & { readonly workflowsOpen: number }
}

export type ThreadCall = { readonly workflow: string } & ({ readonly call: InstanceCall } | { readonly letGo: true })

export type ThreadMessage = { readonly now: EpochMs; readonly calls: readonly ThreadCall[] } | 'close'

export type ThreadOutcome =
  | { readonly ok: true; readonly answer: object }
  | { readonly ok: false; readonly refused: { readonly code: string; readonly message: string } }
  | { readonly ok: false; readonly full: boolean; readonly message: string }

/** SQLITE_FULL, SQLITE_IOERR_WRITE and SQLITE_IOERR_SHMSIZE: what a full file system shows as. */
const fullCodes = [13, 778, 4874]

interface Opened {
  readonly database: DatabaseSync
  readonly answers: ReturnType<typeof openAnswers>
}

const port = parentPort!
const { folder, limits } = workerData as ThreadData
/** The one that was used last comes last. */
const opened = new Map<string, Opened>()
/** Opened since the process began: their runs are those of this process. */
const revived = new Set<string>()

function openedOf(workflow: string, now: EpochMs): Opened {
  const known = opened.get(workflow)
  opened.delete(workflow)
  const found = known ?? open(workflow, now)
  opened.set(workflow, found)
  for (const oldest of opened.keys()) {
    if (opened.size <= limits.workflowsOpen) break
    letGo(oldest)
  }
  return found
}

function open(workflow: string, now: EpochMs): Opened {
  const file = join(folder, workflow, 'instances.db')
  const database = openInstances(file, { now, revive: !revived.has(workflow) && existsSync(file) })
  revived.add(workflow)
  return { database, answers: openAnswers(database, limits) }
}

function letGo(workflow: string): void {
  opened.get(workflow)?.database.close()
  opened.delete(workflow)
}

function failure(thrown: unknown): ThreadOutcome {
  if (thrown instanceof WorkflowRefusal) return { ok: false, refused: { code: thrown.code, message: thrown.message } }
  const { errcode, message } = thrown as { errcode?: number; message: string }
  return { ok: false, full: fullCodes.includes(errcode ?? 0), message }
}

function attempt(work: () => object): ThreadOutcome {
  try {
    return { ok: true, answer: work() }
  } catch (error) {
    return failure(error)
  }
}

/** A call that throws leaves nothing of itself behind, and all of the others. */
function transact(workflow: string, calls: readonly InstanceCall[], now: EpochMs): ThreadOutcome[] {
  const { database, answers } = openedOf(workflow, now)
  database.exec('BEGIN IMMEDIATE')
  try {
    const outcomes = calls.map((call) =>
      attempt(() => {
        database.exec('SAVEPOINT one')
        try {
          return answerCall(answers, call, now)
        } catch (error) {
          if (database.isTransaction) database.exec('ROLLBACK TO one')
          throw error
        } finally {
          if (database.isTransaction) database.exec('RELEASE one')
        }
      }),
    )
    database.exec('COMMIT')
    return outcomes
  } catch (error) {
    // A full disk may have rolled back by itself (https://sqlite.org/lang_transaction.html §3).
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function answerAll(calls: readonly ThreadCall[], now: EpochMs): ThreadOutcome[] {
  const outcomes: ThreadOutcome[] = new Array(calls.length)
  const byWorkflow = new Map<string, number[]>()
  for (const [index, call] of calls.entries())
    if (!('letGo' in call)) byWorkflow.set(call.workflow, [...(byWorkflow.get(call.workflow) ?? []), index])
  for (const [workflow, indices] of byWorkflow) {
    const asked = indices.map((index) => (calls[index] as { call: InstanceCall }).call)
    let done: readonly ThreadOutcome[]
    try {
      done = transact(workflow, asked, now)
    } catch (error) {
      done = asked.map(() => failure(error))
    }
    for (const [at, index] of indices.entries()) outcomes[index] = done[at]!
  }
  // Last: what was asked before it in the same batch would open the file again.
  for (const [index, call] of calls.entries())
    if ('letGo' in call)
      outcomes[index] = attempt(() => {
        letGo(call.workflow)
        revived.delete(call.workflow)
        return {}
      })
  return outcomes
}

port.on('message', (message: ThreadMessage) => {
  if (message !== 'close') return port.postMessage(answerAll(message.calls, message.now))
  for (const workflow of [...opened.keys()]) letGo(workflow)
  port.close()
})
port.postMessage('ready')
