/** Queries of datasets, each in a thread of its own that ends with it: few at once, none for long. */
import { Worker } from 'node:worker_threads'
import type { QueryTold } from '#/core/datasets.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { QueryData } from './query.thread.ts'

export interface QueryRunner {
  /** Rejects with `overloaded` where too many wait. */
  run(data: Omit<QueryData, 'limitBytes'>, signal?: AbortSignal): Promise<QueryTold>
  close(): Promise<void>
}

export type QueryLimits = Pick<
  Limits,
  'datasetQueries' | 'datasetQueriesWaiting' | 'datasetQueryMs' | 'datasetQueryBytes'
>

export function createQueryRunner(limits: QueryLimits): QueryRunner {
  const running = new Set<Worker>()
  const waiting: (() => void)[] = []
  let free = limits.datasetQueries
  let closed = false

  async function turn(): Promise<void> {
    if (closed) throw new EdgeError('overloaded', 'This node is shutting down.')
    if (free > 0) {
      free--
      return
    }
    if (waiting.length >= limits.datasetQueriesWaiting)
      throw new EdgeError('overloaded', `${waiting.length} queries of datasets wait already.`)
    await new Promise<void>((resolve) => waiting.push(resolve))
    if (closed) throw new EdgeError('overloaded', 'This node is shutting down.')
  }

  function done(): void {
    const next = waiting.shift()
    if (next === undefined) free++
    else next()
  }

  return {
    async run(data, signal) {
      await turn()
      try {
        const workerData: QueryData = { ...data, limitBytes: limits.datasetQueryBytes }
        // Values take more in the engine than they are counted for.
        const maxOldGenerationSizeMb = 64 + Math.ceil((4 * limits.datasetQueryBytes) / 2 ** 20)
        const worker = new Worker(new URL('./query.thread.ts', import.meta.url), {
          workerData,
          name: 'dataset-query',
          resourceLimits: { maxOldGenerationSizeMb },
        })
        running.add(worker)
        return await told(worker, limits, signal).finally(async () => {
          running.delete(worker)
          await worker.terminate()
        })
      } finally {
        done()
      }
    },
    async close() {
      closed = true
      for (const wake of waiting.splice(0)) wake()
      await Promise.all([...running].map((worker) => worker.terminate()))
    },
  }
}

function told(
  worker: Worker,
  { datasetQueryMs, datasetQueryBytes }: QueryLimits,
  signal?: AbortSignal,
): Promise<QueryTold> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(
      () =>
        resolve({
          refused: `Input was invalid: the query takes longer than ${datasetQueryMs} ms; bound timestamp in WHERE`,
        }),
      datasetQueryMs,
    )
    const left = () => reject(new EdgeError('overloaded', 'Whoever asked is gone.'))
    signal?.addEventListener('abort', left, { once: true })
    const settle = (end: () => void) => {
      clearTimeout(late)
      signal?.removeEventListener('abort', left)
      end()
    }
    worker.once('message', (answer: QueryTold) => settle(() => resolve(answer)))
    worker.once('error', (error: NodeJS.ErrnoException) =>
      settle(() => {
        if (error.code === 'ERR_WORKER_OUT_OF_MEMORY')
          resolve({ refused: `Input was invalid: the query holds more than ${datasetQueryBytes} bytes at once` })
        else reject(error)
      }),
    )
    worker.once('exit', () => settle(() => reject(new EdgeError('overloaded', 'The query was ended.'))))
  })
}
