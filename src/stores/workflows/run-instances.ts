/** The life of instances as their runs see it: which is due, how it began, why it stopped. */
import type { DatabaseSync } from 'node:sqlite'
import type { EpochMs, Milliseconds } from '#/core/units.ts'
import type { WorkflowSchedule } from '#/core/workflow-schedules.ts'
import type { ToldError } from './run-steps.ts'
import type { InstanceRow } from './schema.ts'

export interface RunInstances {
  /** Instances that are due, at most `most`; each has a new run from now on. `nextDue`: when the next one is. */
  claim(most: number, now: EpochMs): { readonly claimed: readonly Claimed[]; readonly nextDue: EpochMs | null }
  start(instance: InstanceRow): {
    readonly state: 'start'
    readonly payload: string
    readonly timestamp: EpochMs
    readonly schedule?: WorkflowSchedule
  }
  /** Nothing but time passes in it, or it is to pause. */
  suspend(instance: InstanceRow, now: EpochMs): void
  end(instance: InstanceRow, end: { readonly value?: string; readonly error?: ToldError }, now: EpochMs): void
  /** Its run is over and nobody said how: another one follows. */
  lose(instance: InstanceRow, now: EpochMs): void
  /** Removes what was kept long enough, and how many that were. */
  forget(now: EpochMs, most: number): number
}

export interface Claimed {
  readonly instance: string
  readonly run: number
}

/** Before the next run, by how many in a row were cut off. */
const lossDelayMs = (losses: number): Milliseconds => (losses === 0 ? 0 : Math.min(1000 * 2 ** (losses - 1), 60_000))

export function createRunInstances(database: DatabaseSync): RunInstances {
  const due = database.prepare('SELECT * FROM instances WHERE due <= ? ORDER BY due LIMIT ?')
  const next = database.prepare('SELECT min(due) AS due FROM instances WHERE due IS NOT NULL')
  const begin = database.prepare(
    `UPDATE instances SET status = 'running', due = NULL, run = run + 1, modified = :now,
       started = coalesce(started, :now) WHERE number = :number`,
  )
  const wakes = database.prepare(`SELECT min(due) AS due FROM steps WHERE instance = ? AND state = 'pending'`)
  const answered = database.prepare(
    `SELECT 1 FROM steps JOIN events ON events.instance = steps.instance AND events.type = steps.config ->> 'type'
     WHERE steps.instance = ? AND steps.type = 'wait' AND steps.state = 'pending' LIMIT 1`,
  )
  const rest = database.prepare('UPDATE instances SET status = ?, due = ?, paused = ?, modified = ? WHERE number = ?')
  const finish = database.prepare(
    `UPDATE instances SET status = :status, output = :output, error = :error, ended = :now, modified = :now, due = NULL,
       forget = :forget WHERE number = :number`,
  )
  const lost = database.prepare('UPDATE instances SET due = ?, losses = losses + 1, modified = ? WHERE number = ?')
  const old = database.prepare('SELECT number FROM instances WHERE forget <= ? LIMIT ?')
  const erase = createErase(database)

  return {
    claim(most, now) {
      const rows = due.all(now, most) as unknown as InstanceRow[]
      for (const { number } of rows) begin.run({ now, number })
      const claimed = rows.map(({ id, run }) => ({ instance: id, run: run + 1 }))
      return { claimed, nextDue: (next.get() as unknown as { due: EpochMs | null }).due }
    },
    start: ({ params, created, schedule }) => ({
      ...{ state: 'start', payload: params, timestamp: created },
      ...(schedule !== null && { schedule: JSON.parse(schedule) as WorkflowSchedule }),
    }),
    suspend({ number, status }, now) {
      if (status === 'waitingForPause') return void rest.run('paused', null, now, now, number)
      const wake = (wakes.get(number) as unknown as { due: EpochMs | null }).due
      rest.run('waiting', answered.get(number) === undefined ? (wake ?? now) : now, null, now, number)
    },
    end({ number, keepSuccess, keepError }, { value, error }, now) {
      const status = error === undefined ? 'complete' : 'errored'
      const forget = now + (error === undefined ? keepSuccess : keepError)
      const told = error === undefined ? null : JSON.stringify(error)
      finish.run({ status, output: value ?? null, error: told, forget, now, number })
    },
    lose({ number, status, losses }, now) {
      if (status === 'waitingForPause') return void rest.run('paused', null, now, now, number)
      lost.run(now + lossDelayMs(losses), now, number)
    },
    forget(now, most) {
      const rows = old.all(now, most) as unknown as { number: number }[]
      for (const { number } of rows) erase(number)
      return rows.length
    },
  }
}

/** Removes an instance by its number, with all that is kept of it. */
export function createErase(database: DatabaseSync): (instance: number) => void {
  const clear = createClear(database)
  const erase = database.prepare('DELETE FROM instances WHERE number = ?')
  return (instance) => {
    clear(instance)
    erase.run(instance)
  }
}

/** Removes what an instance did, from a step on: 0 for all; its events only with all. */
export function createClear(database: DatabaseSync): (instance: number, from?: number) => void {
  const attempts = database.prepare(
    'DELETE FROM attempts WHERE step IN (SELECT number FROM steps WHERE instance = ? AND number >= ?)',
  )
  const steps = database.prepare('DELETE FROM steps WHERE instance = ? AND number >= ?')
  const events = database.prepare('DELETE FROM events WHERE instance = ?')
  return (instance, from = 0) => {
    attempts.run(instance, from)
    steps.run(instance, from)
    if (from === 0) events.run(instance)
  }
}
