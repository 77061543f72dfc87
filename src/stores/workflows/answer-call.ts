/** What may be asked of one workflow's database, and who answers. Runs inside a transaction. */
import type { DatabaseSync } from 'node:sqlite'
import type { EpochMs } from '#/core/units.ts'
import {
  type ChangeInstances,
  type ChangeLimits,
  type CreateWish,
  createChangeInstances,
  type RestartFrom,
} from './change-instances.ts'
import { createReadInstances, type ListWish, type ReadInstances } from './read-instances.ts'
import { createRunInstances, type RunInstances } from './run-instances.ts'
import { createRunSteps, type RunSteps, type StepCalls, type StepLimits, type ToldError } from './run-steps.ts'
import type { InstanceRow } from './schema.ts'

export type InstanceLimits = ChangeLimits & StepLimits

/** Of a run that may be over already. */
interface OfRun {
  readonly instance: string
  readonly run: number
}

export type RunCall = OfRun &
  (
    | { readonly do: 'start' | 'suspend' | 'lose' | 'state' }
    | { readonly do: 'end'; readonly value?: string; readonly error?: ToldError }
    | { [Call in keyof StepCalls]: { readonly do: Call } & StepCalls[Call] }[keyof StepCalls]
  )

export type InstanceCall =
  | RunCall
  | { readonly do: 'claim'; readonly most: number }
  | { readonly do: 'forget'; readonly most: number }
  | {
      readonly do: 'create'
      readonly instances: readonly CreateWish[]
      readonly source: InstanceRow['source']
      readonly skips: boolean
    }
  | { readonly do: 'get' | 'status' | 'describe' | 'pause' | 'resume' | 'terminate'; readonly id: unknown }
  | { readonly do: 'restart'; readonly id: unknown; readonly from?: RestartFrom }
  | { readonly do: 'event'; readonly id: unknown; readonly type: unknown; readonly payload: string }
  | { readonly do: 'remove'; readonly instances: readonly string[] }
  | ({ readonly do: 'list' } & ListWish)
  | { readonly do: 'counts' }
  | { readonly do: 'terminate-all'; readonly status?: string }

interface Answers {
  readonly changes: ChangeInstances
  readonly reads: ReadInstances
  readonly runs: RunInstances
  readonly steps: RunSteps
  readonly rowOf: (id: string) => InstanceRow | undefined
}

export function openAnswers(database: DatabaseSync, limits: InstanceLimits): Answers {
  const select = database.prepare('SELECT * FROM instances WHERE id = ?')
  return {
    changes: createChangeInstances(database, limits),
    reads: createReadInstances(database),
    runs: createRunInstances(database),
    steps: createRunSteps(database, limits),
    rowOf: (id) => select.get(id) as unknown as InstanceRow | undefined,
  }
}

/** Throws a `WorkflowRefusal`, or what SQLite throws. */
export function answerCall(answers: Answers, call: InstanceCall, now: EpochMs): object {
  if ('run' in call) return answerRun(answers, call, now)
  const { changes, reads, runs } = answers
  switch (call.do) {
    case 'claim':
      return runs.claim(call.most, now)
    case 'forget':
      return { forgotten: runs.forget(now, call.most) }
    case 'create':
      return changes.create(call.instances, call, now)
    case 'list':
      return reads.list(call)
    case 'counts':
      return reads.counts()
    case 'terminate-all':
      return changes.terminateAll(call.status, now)
    case 'remove':
      return removeAll(answers, call.instances)
  }
  const instance = changes.find(call.id)
  switch (call.do) {
    case 'status':
      return reads.status(instance)
    case 'describe':
      return reads.describe(instance)
    case 'restart':
      changes.restart(instance, call.from, now)
      break
    case 'event':
      changes.event(instance, call, now)
      break
    case 'pause':
    case 'resume':
    case 'terminate':
      changes[call.do](instance, now)
  }
  return { id: instance.id }
}

/** A run that is not the instance's last, or whose instance rests, is told to stop. */
function answerRun({ runs, steps, rowOf }: Answers, call: RunCall, now: EpochMs): object {
  const instance = rowOf(call.instance)
  const isCurrent =
    instance?.run === call.run &&
    instance.due === null &&
    (instance.status === 'running' || instance.status === 'waitingForPause')
  if (!isCurrent) return { state: 'stop' }
  switch (call.do) {
    case 'state':
      return { state: instance.status === 'running' ? 'ok' : 'hold' }
    case 'start':
      return runs.start(instance)
    case 'suspend':
      runs.suspend(instance, now)
      return { state: 'ok' }
    case 'end':
      runs.end(instance, call, now)
      return { state: 'ok' }
    case 'lose':
      runs.lose(instance, now)
      return { state: 'ok' }
    default:
      return steps[call.do](instance, call as never, now)
  }
}

function removeAll({ changes, rowOf }: Answers, ids: readonly string[]) {
  const deleted: { id: string }[] = []
  const errors: { id: string; code: number; message: string }[] = []
  const gone = new Set<string>()
  for (const id of ids) {
    const row = gone.has(id) ? undefined : rowOf(id)
    if (row !== undefined) changes.remove(row)
    if (row !== undefined) gone.add(id)
    if (gone.has(id)) deleted.push({ id })
    else errors.push({ id, code: 10400, message: 'workflows.api.error.instance.not_found' })
  }
  return { deleted, errors }
}
