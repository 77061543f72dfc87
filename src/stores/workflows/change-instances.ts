/** What bindings and the API do with instances. Throws a `WorkflowRefusal`. */
import { randomUUID } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { EpochMs, Milliseconds } from '#/core/units.ts'
import type { WorkflowSchedule } from '#/core/workflow-schedules.ts'
import { notFound, WorkflowRefusal } from './refusals.ts'
import { createClear, createErase } from './run-instances.ts'
import { finalStatuses, type InstanceRow, type StepRow } from './schema.ts'

export interface ChangeLimits {
  readonly workflowRetentionMs: Milliseconds
  readonly workflowValueBytes: number
  readonly workflowInstanceBytes: number
  readonly workflowBatch: number
  readonly workflowInstances: number
}

export interface CreateWish {
  readonly id?: unknown
  readonly params: string
  readonly successMs?: Milliseconds
  readonly errorMs?: Milliseconds
  /** That makes it. */
  readonly schedule?: WorkflowSchedule
}

export interface RestartFrom {
  readonly name: string
  readonly count?: number
  readonly type?: 'do' | 'sleep' | 'waitForEvent'
}

export interface ChangeInstances {
  /** `skips`: ids that exist already are left out instead of refused. */
  create(
    wishes: readonly CreateWish[],
    rest: { readonly source: InstanceRow['source']; readonly skips: boolean },
    now: EpochMs,
  ): readonly { readonly id: string }[]
  find(id: unknown): InstanceRow
  pause(instance: InstanceRow, now: EpochMs): void
  resume(instance: InstanceRow, now: EpochMs): void
  terminate(instance: InstanceRow, now: EpochMs): void
  restart(instance: InstanceRow, from: RestartFrom | undefined, now: EpochMs): void
  event(instance: InstanceRow, event: { readonly type: unknown; readonly payload: string }, now: EpochMs): void
  remove(instance: InstanceRow): void
  /** Their ids. */
  terminateAll(status: string | undefined, now: EpochMs): readonly string[]
}

/** The vendor's: https://developers.cloudflare.com/workflows/reference/limits/ */
const idForm = /^[a-zA-Z0-9_][a-zA-Z0-9-_]{0,99}$/
const typeForm = /^[a-zA-Z0-9_][a-zA-Z0-9-_]{0,99}$/

export function createChangeInstances(database: DatabaseSync, limits: ChangeLimits): ChangeInstances {
  const select = database.prepare('SELECT * FROM instances WHERE id = ?')
  const held = database.prepare('SELECT count(*) AS count FROM instances')
  const insert = database.prepare(
    `INSERT INTO instances (id, status, params, source, created, modified, due, keepSuccess, keepError, bytes, schedule)
     VALUES (:id, 'queued', :params, :source, :now, :now, :now, :keepSuccess, :keepError, :bytes, :schedule)`,
  )
  const setStatus = database.prepare(
    'UPDATE instances SET status = :status, due = :due, paused = :paused, modified = :now WHERE number = :number',
  )
  const stop = database.prepare(
    `UPDATE instances SET status = 'terminated', due = NULL, ended = :now, modified = :now, run = run + 1,
       forget = :forget WHERE number = :number`,
  )
  const unfinished = database.prepare(
    `SELECT * FROM instances WHERE status NOT IN ('errored', 'terminated', 'complete') AND status = coalesce(?, status)`,
  )
  const anew = database.prepare(
    `UPDATE instances SET status = 'queued', due = :now, started = NULL, ended = NULL, output = NULL, error = NULL,
       paused = NULL, forget = NULL, losses = 0, run = run + 1, modified = :now WHERE number = :number`,
  )
  const shift = database.prepare(
    `UPDATE steps SET due = due + ? WHERE instance = ? AND state = 'pending' AND due IS NOT NULL`,
  )
  const stepNamed = database.prepare(
    'SELECT * FROM steps WHERE instance = ? AND name = ? AND count = ? AND type = coalesce(?, type) ORDER BY number',
  )
  const arrived = database.prepare('INSERT INTO events (instance, type, payload, at) VALUES (?, ?, ?, ?)')
  const wake = database.prepare(`UPDATE instances SET due = ?, modified = ? WHERE number = ? AND status = 'waiting'`)
  const grow = database.prepare('UPDATE instances SET bytes = bytes + ? WHERE number = ?')
  const waitsFor = database.prepare(
    `SELECT 1 FROM steps WHERE instance = ? AND type = 'wait' AND state = 'pending' AND config ->> 'type' = ?`,
  )
  const clear = createClear(database)
  const erase = createErase(database)

  const find = (id: unknown) =>
    typeof id === 'string' ? (select.get(id) as unknown as InstanceRow | undefined) : undefined

  function refuseLarge(text: string, what: string): void {
    if (text.length > limits.workflowValueBytes)
      throw new WorkflowRefusal('body', `${what} is too large. Maximum allowed size is 1MiB.`)
  }

  function makeOne(wish: CreateWish, source: InstanceRow['source'], skips: boolean, now: EpochMs) {
    const { id = randomUUID(), params, successMs, errorMs } = wish
    if (typeof id !== 'string' || !idForm.test(id))
      throw new WorkflowRefusal('instance.invalid_id', 'Workflow instance has invalid id')
    refuseLarge(params, 'Instance params')
    for (const ms of [successMs, errorMs])
      if ((ms ?? 0) > limits.workflowRetentionMs)
        throw new WorkflowRefusal('body', `Retention is at most ${limits.workflowRetentionMs}ms`)
    if (find(id) !== undefined) {
      if (skips) return []
      throw new WorkflowRefusal('instance.already_exists', 'Instance already exists')
    }
    const keepSuccess = successMs ?? limits.workflowRetentionMs
    const keepError = errorMs ?? limits.workflowRetentionMs
    const schedule = wish.schedule === undefined ? null : JSON.stringify(wish.schedule)
    insert.run({ id, params, source, now, keepSuccess, keepError, bytes: params.length, schedule })
    return [{ id }]
  }

  return {
    create(wishes, { source, skips }, now) {
      if (!Array.isArray(wishes) || wishes.length === 0)
        throw new WorkflowRefusal('body', 'WorkflowError: batchCreate should have at least 1 instance')
      if (wishes.length > limits.workflowBatch)
        throw new WorkflowRefusal('body', `batchCreate only supports ${limits.workflowBatch} instances at a time`)
      const { count } = held.get() as unknown as { count: number }
      if (count + wishes.length > limits.workflowInstances)
        throw new WorkflowRefusal('body', `A workflow has at most ${limits.workflowInstances} instances`)
      return wishes.flatMap((wish) => makeOne(wish, source, skips, now))
    },
    find(id) {
      const found = find(id)
      if (found === undefined) throw notFound()
      return found
    },
    pause({ number, status }, now) {
      if (finalStatuses.includes(status))
        throw new WorkflowRefusal('instance.cannot_pause', 'Cannot pause instance since its on a finite state')
      if (status === 'paused' || status === 'waitingForPause') return
      const rests = status !== 'running'
      setStatus.run({
        status: rests ? 'paused' : 'waitingForPause',
        due: null,
        paused: rests ? now : null,
        now,
        number,
      })
    },
    resume({ number, status, paused }, now) {
      if (finalStatuses.includes(status))
        throw new WorkflowRefusal('instance.cannot_resume', 'Cannot resume instance since its on a finite state')
      if (status === 'waitingForPause') setStatus.run({ status: 'running', due: null, paused: null, now, number })
      if (status !== 'paused') return
      // Sleeps and retries go on with what was left of them.
      shift.run(now - (paused ?? now), number)
      setStatus.run({ status: 'queued', due: now, paused: null, now, number })
    },
    terminate({ number, status, keepError }, now) {
      if (finalStatuses.includes(status))
        throw new WorkflowRefusal('instance.cannot_terminate', 'Cannot terminate instance since its on a finite state')
      stop.run({ now, forget: now + keepError, number })
    },
    restart({ number }, from, now) {
      let first = 0
      if (from !== undefined) {
        const type = from.type === 'waitForEvent' ? 'wait' : (from.type ?? null)
        const step = stepNamed.get(number, from.name, from.count ?? 1, type) as unknown as StepRow | undefined
        if (step === undefined)
          throw new WorkflowRefusal('instance.cannot_restart', `Step "${from.name}" not found in execution history`)
        first = step.number
      }
      clear(number, first)
      anew.run({ now, number })
    },
    event({ number, status, bytes }, { type, payload }, now) {
      if (finalStatuses.includes(status))
        throw new WorkflowRefusal(
          'instance.cannot_send_event',
          'Cannot send event to instance since its on a finite state',
        )
      if (typeof type !== 'string' || !typeForm.test(type)) throw new WorkflowRefusal('body', 'Event type is invalid')
      refuseLarge(payload, 'Event payload')
      if (bytes + payload.length > limits.workflowInstanceBytes)
        throw new WorkflowRefusal('body', 'The instance has exceeded the 1GiB storage limit')
      arrived.run(number, type, payload, now)
      grow.run(payload.length, number)
      if (waitsFor.get(number, type) !== undefined) wake.run(now, now, number)
    },
    remove: ({ number }) => erase(number),
    terminateAll(status, now) {
      const rows = unfinished.all(status ?? null) as unknown as InstanceRow[]
      for (const { number, keepError } of rows) stop.run({ now, forget: now + keepError, number })
      return rows.map(({ id }) => id)
    },
  }
}
