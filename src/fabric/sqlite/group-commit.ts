/**
 * Group commit: whatever is asked for while one transaction runs goes into the next, so that many acknowledgements share
 * one fsync.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { EdgeError } from '#/core/errors.ts'
import type { GroupCommit, GroupCommitOptions } from '#/core/group-commit.ts'
import type { ThreadData, ThreadMessage } from './group-commit.thread.ts'
import type { Outcome } from './run-batch.ts'

interface Pending<Operation, Answer> {
  readonly operation: Operation
  readonly bytes: number
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/** What an operation costs in memory besides its value, roughly. */
const overheadBytes = 512

/** `OpenGroupCommit` of `core/group-commit.ts`. */
export async function openGroupCommit<Operation, Answer>(
  options: GroupCommitOptions<Operation>,
): Promise<GroupCommit<Operation, Answer>> {
  const { module, data, name, sizeOf, clock, limits } = options
  const workerData: ThreadData = { module: module.href, data }
  const worker = new Worker(new URL('./group-commit.thread.ts', import.meta.url), { workerData, name })
  await once(worker, 'message')
  const exited = once(worker, 'exit')

  let queue: Pending<Operation, Answer>[] = []
  let queuedBytes = 0
  let running: readonly Pending<Operation, Answer>[] = []
  let pumping = false
  let ended: Error | undefined
  let idle: (() => void) | undefined

  function pump(): void {
    pumping = false
    if (running.length > 0) return
    if (queue.length === 0) {
      idle?.()
      return
    }
    running = queue.slice(0, limits.fabricBatch)
    queue = queue.slice(limits.fabricBatch)
    const message: ThreadMessage = { now: clock(), batch: running.map((pending) => pending.operation) }
    worker.postMessage(message)
  }

  function settle(pending: Pending<Operation, Answer>, outcome: Outcome<Answer>): void {
    queuedBytes -= pending.bytes
    if (outcome.ok) pending.resolve(outcome.answer)
    else {
      const detail = `The ${name} could not write to its database: ${outcome.message}.`
      pending.reject(new EdgeError(outcome.full ? 'storage_full' : 'internal', detail))
    }
  }

  worker.on('message', (outcomes: readonly Outcome<Answer>[]) => {
    const done = running
    running = []
    // The disk gets its next batch before anybody hears of the last one.
    pump()
    done.forEach((pending, index) => {
      settle(pending, outcomes[index]!)
    })
  })

  worker.on('error', (error: Error) => {
    ended = error
    const lost = [...running, ...queue]
    queue = []
    running = []
    for (const pending of lost)
      settle(pending, { ok: false, full: false, message: `the writing thread ended: ${error.message}` })
    idle?.()
  })

  return {
    submit(operation) {
      if (ended !== undefined)
        return Promise.reject(new EdgeError('internal', `The ${name} is closed.`, { cause: ended }))
      const bytes = overheadBytes + sizeOf(operation)
      if (queuedBytes + bytes > limits.fabricQueueBytes)
        return Promise.reject(new EdgeError('overloaded', 'More writes are waiting for the disk than may wait.'))
      queuedBytes += bytes
      return new Promise((resolve, reject) => {
        queue.push({ operation, bytes, resolve, reject })
        if (pumping) return
        pumping = true
        queueMicrotask(pump)
      })
    },
    async close() {
      if (ended !== undefined) return void (await exited)
      ended = new Error('closed')
      if (queue.length + running.length > 0) {
        const { promise, resolve } = Promise.withResolvers<void>()
        idle = resolve
        await promise
      }
      worker.postMessage('close')
      await exited
    },
  }
}
