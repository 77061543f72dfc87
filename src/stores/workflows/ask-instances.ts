/** The thread of workflows' databases, as functions. What is asked while a batch runs goes into the next. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'
import type { InstanceCall } from './answer-call.ts'
import type { ThreadCall, ThreadData, ThreadMessage } from './instances.thread.ts'
import { type RefusalCode, WorkflowRefusal } from './refusals.ts'
import type { ThreadOutcome } from './run-calls.ts'

export interface Instances {
  /** Resolves after the COMMIT. Rejects with a `WorkflowRefusal`, `storage_full`, `overloaded` or `internal`. */
  ask<Answer>(workflow: string, call: InstanceCall): Promise<Answer>
  /** Closes the files of a workflow. */
  letGo(workflow: string): Promise<void>
  close(): Promise<void>
}

interface Pending {
  readonly call: ThreadCall
  readonly resolve: (answer: never) => void
  readonly reject: (error: Error) => void
}

export interface InstancesOptions {
  readonly folder: string
  readonly limits: ThreadData['limits'] & Pick<Limits, 'workflowBatched' | 'workflowQueue'>
  readonly clock: Clock
}

export async function openInstancesThread({ folder, limits, clock }: InstancesOptions): Promise<Instances> {
  const workerData: ThreadData = { folder, limits }
  const worker = new Worker(new URL('./instances.thread.ts', import.meta.url), { workerData, name: 'workflows' })
  await once(worker, 'message')
  const exited = once(worker, 'exit')
  const queue: Pending[] = []
  const idle: (() => void)[] = []
  let running: readonly Pending[] = []
  let ended: Error | undefined

  function pump(): void {
    if (running.length > 0) return
    if (queue.length === 0) return void idle.splice(0).forEach((resolve) => void resolve())
    running = queue.splice(0, limits.workflowBatched)
    const message: ThreadMessage = { now: clock(), calls: running.map(({ call }) => call) }
    worker.postMessage(message)
  }

  worker.on('message', (outcomes: readonly ThreadOutcome[]) => {
    const done = running
    running = []
    // The disk gets its next batch before anybody hears of the last one.
    pump()
    for (const [index, pending] of done.entries()) settle(pending, outcomes[index]!)
  })
  worker.on('error', (error: Error) => {
    ended = new EdgeError('internal', 'The thread of the workflows ended.', { cause: error })
    for (const { reject } of [...running, ...queue.splice(0)]) reject(ended)
    running = []
    pump()
  })

  function submit<Answer>(call: ThreadCall): Promise<Answer> {
    if (ended !== undefined) return Promise.reject(ended)
    if (queue.length >= limits.workflowQueue)
      return Promise.reject(new EdgeError('overloaded', 'More calls are waiting for the workflows than may wait.'))
    return new Promise((resolve, reject) => {
      queue.push({ call, resolve, reject })
      if (running.length === 0 && queue.length === 1) queueMicrotask(pump)
    })
  }

  return {
    ask: (workflow, call) => submit({ workflow, call }),
    letGo: (workflow) => submit({ workflow, letGo: true }),
    async close() {
      ended ??= new EdgeError('internal', 'The workflows are closed.')
      const empty = new Promise<void>((resolve) => void idle.push(resolve))
      pump()
      await empty
      worker.postMessage('close')
      await exited
    },
  }
}

function settle({ resolve, reject }: Pending, outcome: ThreadOutcome): void {
  if (outcome.ok) resolve(outcome.answer as never)
  else if ('refused' in outcome)
    reject(new WorkflowRefusal(outcome.refused.code as RefusalCode, outcome.refused.message))
  else
    reject(new EdgeError(outcome.full ? 'storage_full' : 'internal', `The database of a workflow: ${outcome.message}.`))
}
