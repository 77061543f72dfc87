/**
 * The thread that owns a writing connection: fsync blocks it and nobody else. One message is one batch.
 */
import { parentPort, workerData } from 'node:worker_threads'
import type { CommitTarget } from '#/core/group-commit.ts'
import type { EpochMs } from '#/core/units.ts'
import { createBatchRunner } from './run-batch.ts'

export interface ThreadData {
  readonly module: string
  readonly data: unknown
}

export type ThreadMessage = { readonly now: EpochMs; readonly batch: readonly unknown[] } | 'close'

const port = parentPort!
const { module, data } = workerData as ThreadData
const { open } = (await import(module)) as { open(data: unknown): CommitTarget<unknown, unknown> }
const target = open(data)
const run = createBatchRunner(target)

port.on('message', (message: ThreadMessage) => {
  if (message !== 'close') return port.postMessage(run(message.now, message.batch))
  target.database.close()
  port.close()
})
port.postMessage('ready')
