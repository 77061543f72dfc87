/**
 * The thread that owns the writing connection: fsync blocks it and nobody else. One message is one batch.
 */
import { parentPort, workerData } from 'node:worker_threads'
import type { EpochMs } from '#/core/units.ts'
import { createBatchRunner, type Operation } from './operations.ts'
import { openForWriting } from './schema.ts'

export interface WriterData {
  readonly file: string
  readonly limitBytes: number
}

export type WriterMessage = { readonly now: EpochMs; readonly batch: readonly Operation[] } | 'close'

const port = parentPort!
const { file, limitBytes } = workerData as WriterData
const database = openForWriting(file, limitBytes)
const run = createBatchRunner(database)

port.on('message', (message: WriterMessage) => {
  if (message !== 'close') return port.postMessage(run(message.now, message.batch))
  database.close()
  port.close()
})
port.postMessage('ready')
