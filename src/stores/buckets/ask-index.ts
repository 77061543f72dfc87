/** The threads of the buckets' index, as functions. What is asked while a batch runs goes into the next. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { createBatchQueue } from '#/core/batch-queue.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'
import type { IndexCall, IndexMessage, IndexOperation, IndexOutcome, IndexThreadData } from './index.thread.ts'

export interface IndexThread {
  /** Resolves after the COMMIT. Rejects with `storage_full`, `overloaded` or `internal`. */
  ask<Answer>(bucket: string, operation: IndexOperation): Promise<Answer>
  close(): Promise<void>
}

export type IndexLimits = IndexThreadData['limits'] & Pick<Limits, 'bucketBatch' | 'bucketQueue'>

export async function startIndexThread(
  mode: IndexThreadData['mode'],
  { folder, limits, clock }: { readonly folder: string; readonly limits: IndexLimits; readonly clock: Clock },
): Promise<IndexThread> {
  const workerData: IndexThreadData = { folder, mode, limits }
  const worker = new Worker(new URL('./index.thread.ts', import.meta.url), { workerData, name: `buckets-${mode}` })
  await once(worker, 'message')
  const exited = once(worker, 'exit')
  const waiting = createBatchQueue<IndexCall, IndexOutcome, object>({
    name: "the buckets' index",
    send: (calls) => worker.postMessage({ now: clock(), calls } satisfies IndexMessage),
    settle(outcome) {
      if (outcome.ok) return outcome.answer
      throw new EdgeError(outcome.full ? 'storage_full' : 'internal', `A bucket's index: ${outcome.message}.`)
    },
    batch: limits.bucketBatch,
    most: limits.bucketQueue,
  })
  worker.on('message', waiting.answered)
  worker.on('error', waiting.broke)

  return {
    ask: <Answer>(bucket: string, operation: IndexOperation) => waiting.ask({ bucket, operation }) as Promise<Answer>,
    async close() {
      if (waiting.isOver) return void (await exited)
      await waiting.close()
      worker.postMessage('close')
      await exited
    },
  }
}
