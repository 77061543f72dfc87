/** What a run asks of its instance's steps. Each answer is what is true once it is committed. */
import type { DatabaseSync } from 'node:sqlite'
import type { EpochMs, Milliseconds } from '#/core/units.ts'
import type { InstanceRow, StepRow } from './schema.ts'

export interface StepLimits {
  readonly workflowInterruptions: number
  readonly workflowInstanceBytes: number
}

export interface ToldError {
  readonly name: string
  readonly message: string
}

interface StepName {
  readonly name: string
  readonly count: number
}

export interface StepCalls {
  readonly begin: StepName & { readonly config: object; readonly steps: number }
  readonly finish: StepName & { readonly attempt: number; readonly value: string }
  readonly fail: StepName & {
    readonly attempt: number
    readonly error: ToldError
    readonly retryInMs?: Milliseconds
  }
  readonly sleep: StepName & { readonly forMs?: Milliseconds; readonly until?: EpochMs; readonly steps: number }
  readonly wait: StepName & { readonly type: string; readonly forMs: Milliseconds; readonly steps: number }
}

export type StepAnswer =
  | { readonly state: 'done'; readonly value: string; readonly at: EpochMs }
  | { readonly state: 'failed' | 'fatal'; readonly error: ToldError }
  | { readonly state: 'later'; readonly inMs: Milliseconds }
  | { readonly state: 'run'; readonly attempt: number }
  | { readonly state: 'ok' | 'hold' }

export type RunSteps = {
  readonly [Call in keyof StepCalls]: (instance: InstanceRow, call: StepCalls[Call], now: EpochMs) => StepAnswer
}

/** As the vendor's local engine keeps them for a step that its process did not outlive. */
const interruption: ToldError = {
  name: 'WorkflowInternalError',
  message: 'Attempt failed due to internal workflows error',
}

const nothing = '{"$":"undefined"}'

export function createRunSteps(database: DatabaseSync, limits: StepLimits): RunSteps {
  const find = database.prepare('SELECT * FROM steps WHERE instance = ? AND type = ? AND name = ? AND count = ?')
  const count = database.prepare('SELECT count(*) AS held FROM steps WHERE instance = ?')
  const insert = database.prepare(
    `INSERT INTO steps (instance, type, name, count, config, started, state, run, attempt, due)
     VALUES (:instance, :type, :name, :count, :config, :now, :state, :run, :attempt, :due) RETURNING number`,
  )
  const settle = database.prepare(
    'UPDATE steps SET state = ?, ended = ?, due = NULL, output = ?, error = ? WHERE number = ?',
  )
  const again = database.prepare(
    `UPDATE steps SET state = 'running', run = ?, attempt = attempt + 1, interrupted = ?, due = NULL WHERE number = ?`,
  )
  const postpone = database.prepare(`UPDATE steps SET state = 'pending', due = ? WHERE number = ?`)
  const startAttempt = database.prepare('INSERT INTO attempts (step, attempt, started) VALUES (?, ?, ?)')
  const endAttempt = database.prepare('UPDATE attempts SET ended = ?, error = ? WHERE step = ? AND attempt = ?')
  const grow = database.prepare('UPDATE instances SET bytes = bytes + ?, modified = ?, losses = 0 WHERE number = ?')
  const earliest = database.prepare('SELECT * FROM events WHERE instance = ? AND type = ? ORDER BY number LIMIT 1')
  const consume = database.prepare('DELETE FROM events WHERE number = ?')

  const stepOf = (instance: InstanceRow, type: StepRow['type'], { name, count }: StepName) =>
    find.get(instance.number, type, name, count) as unknown as StepRow | undefined

  function add(
    instance: InstanceRow,
    type: StepRow['type'],
    step: StepName & { readonly steps: number },
    rest: { config: string | null; now: EpochMs; state: StepRow['state']; attempt: number; due: EpochMs | null },
  ): number | StepAnswer {
    if (instance.status === 'waitingForPause') return { state: 'hold' }
    const { held } = count.get(instance.number) as unknown as { held: number }
    if (held >= step.steps) return fatal(tooManySteps(step.steps))
    const { name, count: counted } = step
    const row = { instance: instance.number, type, name, count: counted, run: instance.run, ...rest }
    return (insert.get(row) as unknown as { number: number }).number
  }

  function attemptAgain(instance: InstanceRow, step: StepRow, now: EpochMs, interrupted: number): StepAnswer {
    again.run(instance.run, interrupted, step.number)
    startAttempt.run(step.number, step.attempt + 1, now)
    return { state: 'run', attempt: step.attempt + 1 }
  }

  function resume(instance: InstanceRow, step: StepRow, now: EpochMs): StepAnswer {
    if (step.state === 'pending') {
      if (step.due! > now) return { state: 'later', inMs: step.due! - now }
      return attemptAgain(instance, step, now, step.interrupted)
    }
    endAttempt.run(now, JSON.stringify(interruption), step.number, step.attempt)
    if (step.interrupted < limits.workflowInterruptions) return attemptAgain(instance, step, now, step.interrupted + 1)
    settle.run('failed', now, null, JSON.stringify(interruption), step.number)
    return { state: 'failed', error: interruption }
  }

  /** What is over, or has to be waited for; `undefined`: neither. */
  function known(step: StepRow | undefined): StepAnswer | undefined {
    if (step?.state === 'done') return { state: 'done', value: step.output ?? nothing, at: step.ended! }
    if (step?.state === 'failed') return { state: 'failed', error: JSON.parse(step.error!) as ToldError }
    return undefined
  }

  return {
    begin(instance, call, now) {
      const step = stepOf(instance, 'do', call)
      const over = known(step)
      if (over !== undefined) return over
      if (step !== undefined)
        return instance.status === 'waitingForPause' ? { state: 'hold' } : resume(instance, step, now)
      const config = JSON.stringify(call.config)
      const made = add(instance, 'do', call, { config, now, state: 'running', attempt: 1, due: null })
      if (typeof made !== 'number') return made
      startAttempt.run(made, 1, now)
      return { state: 'run', attempt: 1 }
    },
    finish(instance, call, now) {
      const step = stepOf(instance, 'do', call)
      if (step?.state !== 'running' || step.attempt !== call.attempt) return known(step) ?? { state: 'hold' }
      if (instance.bytes + call.value.length > limits.workflowInstanceBytes)
        return fatal('The instance has exceeded the 1GiB storage limit')
      settle.run('done', now, call.value, null, step.number)
      endAttempt.run(now, null, step.number, step.attempt)
      grow.run(call.value.length, now, instance.number)
      return { state: 'ok' }
    },
    fail(instance, call, now) {
      const step = stepOf(instance, 'do', call)
      if (step?.state !== 'running' || step.attempt !== call.attempt) return known(step) ?? { state: 'hold' }
      const error = JSON.stringify(call.error)
      endAttempt.run(now, error, step.number, step.attempt)
      grow.run(0, now, instance.number)
      if (call.retryInMs === undefined) {
        settle.run('failed', now, null, error, step.number)
        return { state: 'failed', error: call.error }
      }
      postpone.run(Math.ceil(now + call.retryInMs), step.number)
      return { state: 'later', inMs: call.retryInMs }
    },
    sleep(instance, call, now) {
      const step = stepOf(instance, 'sleep', call)
      const over = known(step)
      if (over !== undefined) return over
      const due = step?.due ?? Math.ceil(call.until ?? now + call.forMs!)
      if (step === undefined) {
        if (call.until !== undefined && due < now)
          return fatal("You can't sleep until a time in the past, time-traveler", 'Error')
        const made = add(instance, 'sleep', call, { config: null, now, state: 'pending', attempt: 0, due })
        if (typeof made !== 'number') return made
      }
      if (due > now) return { state: 'later', inMs: due - now }
      settle.run('done', now, null, null, stepOf(instance, 'sleep', call)!.number)
      return { state: 'done', value: nothing, at: now }
    },
    wait(instance, call, now) {
      const step = stepOf(instance, 'wait', call)
      const over = known(step)
      if (over !== undefined) return over
      const due = step?.due ?? Math.ceil(now + call.forMs)
      const config = JSON.stringify({ type: call.type, forMs: call.forMs })
      const made = step?.number ?? add(instance, 'wait', call, { config, now, state: 'pending', attempt: 0, due })
      if (typeof made !== 'number') return made
      const event = earliest.get(instance.number, call.type) as unknown as
        | { number: number; payload: string; at: EpochMs }
        | undefined
      if (event !== undefined) {
        consume.run(event.number)
        settle.run('done', event.at, event.payload, null, made)
        return { state: 'done', value: event.payload, at: event.at }
      }
      if (due > now) return { state: 'later', inMs: due - now }
      const error = { name: 'WorkflowTimeoutError', message: `Execution timed out after ${call.forMs}ms` }
      settle.run('failed', now, null, JSON.stringify(error), made)
      return { state: 'failed', error }
    },
  }
}

const fatal = (message: string, name = 'WorkflowFatalError'): StepAnswer => ({
  state: 'fatal',
  error: { name, message },
})

const tooManySteps = (limit: number) =>
  `The limit of ${limit} steps has been reached. This limit can be changed in your worker configuration.`
