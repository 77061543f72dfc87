/**
 * Requests that came together, run in one transaction and made durable by one write to the disk: each in a savepoint of its
 * own, so that one that fails takes nothing with it. Runs in a process of databases.
 */
import { SqlRefusal } from './error-text.ts'
import type { OpenDatabase } from './open-database.ts'
import { AgainError, isReadOnly, type QueryRequest, type RunOptions, runQueries } from './run-query.ts'

export type GroupAnswer =
  | { readonly ok: true; readonly results: readonly string[] }
  | { readonly ok: false; readonly error: string }

export interface GroupJob {
  readonly request: QueryRequest
  /** Told before the job is run. */
  readonly started: () => unknown
  /** Told once what it did is on the disk. */
  readonly done: (answer: GroupAnswer) => void
}

/** A group that took so long is made durable before the next job. */
const groupMs = 50

/** A `PRAGMA` holds until the transaction ends, or longer: such a request stays alone. */
const settles = /\bpragma\b/i

/** Runs jobs in their order; `settled` is called when some are done. Throws only what is a bug. */
export function runGroups(options: RunOptions, jobs: readonly GroupJob[], settled: () => void): void {
  let waiting = [...jobs]
  while (waiting.length > 0) {
    const first = waiting[0]!
    const alone = waiting.length === 1 || staysAlone(first)
    waiting = waiting.slice(alone ? runAlone(options, first) : runTogether(options, waiting))
    settled()
  }
}

function staysAlone({ request }: GroupJob): boolean {
  return request.queries.some(({ sql }) => settles.test(sql))
}

/** Answers how many were done. */
function runAlone(options: RunOptions, job: GroupJob): number {
  job.started()
  const answer = answerAlone(options, job.request)
  if (staysAlone(job)) options.database.settle()
  job.done(answer)
  return 1
}

function answerAlone(options: RunOptions, request: QueryRequest): GroupAnswer {
  const { database } = options
  for (;;)
    try {
      const results = isReadOnly(options, request)
        ? runQueries(options, request)
        : inTransaction(database, () => runQueries(options, request))
      return { ok: true, results }
    } catch (error) {
      database.forget()
      if (!(error instanceof AgainError)) return refused(database.refusal(error, ''))
    }
}

function inTransaction<Value>({ connection, control }: OpenDatabase, run: () => Value): Value {
  control('begin')
  try {
    const value = run()
    control('commit')
    return value
  } catch (error) {
    if (connection.isTransaction) control('rollback')
    throw error
  }
}

/** Answers how many were done: those up to the time that a group may take, or to one that stays alone. */
function runTogether(options: RunOptions, jobs: readonly GroupJob[]): number {
  const { database, now } = options
  const startedAt = now()
  const answers: GroupAnswer[] = []
  try {
    inTransaction(database, () => {
      for (const job of jobs) {
        if (answers.length > 0 && (now() - startedAt > groupMs || staysAlone(job))) return
        job.started()
        answers.push(answerInside(options, job.request))
      }
    })
  } catch (error) {
    // What only shows at the end, such as a foreign key that was left for later or a full disk, is one job's own fault.
    database.forget()
    if (!(database.refusal(error, '') instanceof SqlRefusal)) throw error
    for (const job of jobs.slice(0, answers.length)) runAlone(options, job)
    return answers.length
  }
  for (const [index, answer] of answers.entries()) jobs[index]!.done(answer)
  return answers.length
}

function answerInside(options: RunOptions, request: QueryRequest): GroupAnswer {
  const { database } = options
  const { control } = database
  for (;;) {
    control('save')
    let answer: GroupAnswer
    try {
      answer = { ok: true, results: runQueries(options, request) }
    } catch (error) {
      database.forget()
      control('undo')
      if (error instanceof AgainError) continue
      answer = refused(error)
    }
    control('release')
    return answer
  }
}

function refused(error: unknown): GroupAnswer {
  if (error instanceof SqlRefusal) return { ok: false, error: error.message }
  throw error
}
