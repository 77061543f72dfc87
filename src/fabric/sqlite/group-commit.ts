/**
 * Group commit: whatever is asked for while one transaction runs goes into the next, so that many acknowledgements share
 * one fsync.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { createBatchQueue } from '#/core/batch-queue.ts'
import { EdgeError } from '#/core/errors.ts'
import type { GroupCommit, GroupCommitOptions } from '#/core/group-commit.ts'
import type { ThreadData, ThreadMessage } from './group-commit.thread.ts'
import type { Outcome } from './run-batch.ts'

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

  const waiting = createBatchQueue<Operation, Outcome<Answer>, Answer>({
    name: `the ${name}`,
    send: (batch) => worker.postMessage({ now: clock(), batch } satisfies ThreadMessage),
    settle(outcome) {
      if (outcome.ok) return outcome.answer
      const detail = `The ${name} could not write to its database: ${outcome.message}.`
      throw new EdgeError(outcome.full ? 'storage_full' : 'internal', detail)
    },
    batch: limits.fabricBatch,
    most: limits.fabricQueueBytes,
    sizeOf: (operation) => overheadBytes + sizeOf(operation),
  })
  worker.on('message', waiting.answered)
  worker.on('error', waiting.broke)

  return {
    submit: waiting.ask,
    async close() {
      if (waiting.isOver) return void (await exited)
      await waiting.close()
      worker.postMessage('close')
      await exited
    },
  }
}
