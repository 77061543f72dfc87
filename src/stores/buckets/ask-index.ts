/** The threads of the buckets' index, as functions. What is asked while a batch runs goes into the next. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
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

interface Pending {
  readonly call: IndexCall
  readonly resolve: (answer: never) => void
  readonly reject: (error: Error) => void
}

export async function startIndexThread(
  mode: IndexThreadData['mode'],
  { folder, limits, clock }: { readonly folder: string; readonly limits: IndexLimits; readonly clock: Clock },
): Promise<IndexThread> {
  const {
    bucketListKeys,
    bucketListBytes,
    bucketUploads,
    bucketPartBytes,
    bucketObjectBytes,
    bucketsOpen,
    bucketNotices,
  } = limits
  const workerData: IndexThreadData = {
    folder,
    mode,
    limits: {
      bucketListKeys,
      bucketListBytes,
      bucketUploads,
      bucketPartBytes,
      bucketObjectBytes,
      bucketsOpen,
      bucketNotices,
    },
  }
  const worker = new Worker(new URL('./index.thread.ts', import.meta.url), { workerData, name: `buckets-${mode}` })
  await once(worker, 'message')
  const exited = once(worker, 'exit')
  const queue: Pending[] = []
  let running: readonly Pending[] = []
  let isPumping = false
  let ended: Error | undefined
  let idle: (() => void) | undefined

  function pump(): void {
    isPumping = false
    if (running.length > 0) return
    if (queue.length === 0) {
      idle?.()
      return
    }
    running = queue.splice(0, limits.bucketBatch)
    const message: IndexMessage = { now: clock(), calls: running.map(({ call }) => call) }
    worker.postMessage(message)
  }

  worker.on('message', (outcomes: readonly IndexOutcome[]) => {
    const done = running
    running = []
    // The disk gets its next batch before anybody hears of the last one.
    pump()
    for (const [index, { resolve, reject }] of done.entries()) {
      const outcome = outcomes[index]!
      if (outcome.ok) resolve(outcome.answer as never)
      else reject(new EdgeError(outcome.full ? 'storage_full' : 'internal', `A bucket's index: ${outcome.message}.`))
    }
  })
  worker.on('error', (error: Error) => {
    ended = error
    for (const { reject } of [...running, ...queue.splice(0)])
      reject(new EdgeError('internal', "The thread of the buckets' index ended.", { cause: error }))
    running = []
    idle?.()
  })

  return {
    ask(bucket, operation) {
      if (ended !== undefined)
        return Promise.reject(new EdgeError('internal', "The buckets' index is closed.", { cause: ended }))
      if (queue.length >= limits.bucketQueue)
        return Promise.reject(new EdgeError('overloaded', 'More calls are waiting for the buckets than may wait.'))
      return new Promise((resolve, reject) => {
        queue.push({ call: { bucket, operation }, resolve, reject })
        if (isPumping) return
        isPumping = true
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
