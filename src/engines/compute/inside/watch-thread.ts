/** The second thread of a Compute cell. */
import { workerData } from 'node:worker_threads'
import { watchTurns } from './watch.ts'

watchTurns(new Int32Array(workerData as SharedArrayBuffer), { tickMs: 5, pid: process.pid })
