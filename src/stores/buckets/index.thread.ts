/**
 * Owns the databases of buckets: one thread writes, another reads, so that no fsync and no long list holds up a request.
 * One message is one batch; what a batch writes to one bucket is one transaction, committed before anybody hears of it.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { type SqliteFailure, sqliteFailure } from '#/core/sqlite-failure.ts'
import type { EpochMs } from '#/core/units.ts'
import { createReader, type Read, type ReadLimits, type ReadOperation } from './read-index.ts'
import { openForReading, openForWriting } from './schema.ts'
import { createWriter, type WriteLimits, type WriteOperation, type WritePolicy } from './write-index.ts'

export interface IndexThreadData {
  readonly folder: string
  readonly mode: 'read' | 'write'
  readonly limits: ReadLimits & WriteLimits & { readonly bucketsOpen: number }
}

export type IndexOperation =
  | ReadOperation
  | (WriteOperation & { readonly policy?: WritePolicy })
  /** Makes the database where there is none. */
  | { readonly do: 'open' }
  /** Lets go of its files. */
  | { readonly do: 'let-go' }

export interface IndexCall {
  readonly bucket: string
  readonly operation: IndexOperation
}

export type IndexMessage = { readonly now: EpochMs; readonly calls: readonly IndexCall[] } | 'close'

export type IndexOutcome = { readonly ok: true; readonly answer: object } | SqliteFailure

interface Opened {
  readonly database: DatabaseSync
  readonly run: (operation: never, now: EpochMs) => object
}

const port = parentPort!
const { folder, mode, limits } = workerData as IndexThreadData
/** The one that was used last comes last. */
const opened = new Map<string, Opened>()

function open(bucket: string): Opened {
  const file = join(folder, bucket, 'index.db')
  if (mode === 'write') {
    const database = openForWriting(file)
    return { database, run: createWriter(database, limits) }
  }
  if (!existsSync(file)) throw new Error(`${file} is not there`)
  const database = openForReading(file)
  return { database, run: createReader(database, limits) as Read }
}

function indexOf(bucket: string): Opened {
  const known = opened.get(bucket)
  opened.delete(bucket)
  const found = known ?? open(bucket)
  opened.set(bucket, found)
  for (const oldest of opened.keys()) {
    if (opened.size <= limits.bucketsOpen) break
    letGo(oldest)
  }
  return found
}

function letGo(bucket: string): void {
  opened.get(bucket)?.database.close()
  opened.delete(bucket)
}

function answer({ bucket, operation }: IndexCall, now: EpochMs): object {
  if (operation.do === 'let-go') {
    letGo(bucket)
    return {}
  }
  const { run } = indexOf(bucket)
  return operation.do === 'open' ? {} : run(operation as never, now)
}

function attempt(work: () => object): IndexOutcome {
  try {
    return { ok: true, answer: work() }
  } catch (error) {
    return sqliteFailure(error)
  }
}

/** All or none: a failure rolls everything back. */
function transact(bucket: string, calls: readonly IndexCall[], now: EpochMs): object[] {
  const { database } = indexOf(bucket)
  database.exec('BEGIN IMMEDIATE')
  try {
    const answers = calls.map((call) => answer(call, now))
    database.exec('COMMIT')
    return answers
  } catch (error) {
    // A full disk may have rolled back by itself (https://sqlite.org/lang_transaction.html §3).
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/** The calls of one bucket as one transaction; when that fails, each in its own, so that one bad write harms no other. */
function write(bucket: string, calls: readonly IndexCall[], now: EpochMs): IndexOutcome[] {
  const alone = (call: IndexCall) => attempt(() => transact(bucket, [call], now)[0]!)
  if (calls.length === 1) return [alone(calls[0]!)]
  try {
    return transact(bucket, calls, now).map((answer) => ({ ok: true, answer }))
  } catch {
    return calls.map(alone)
  }
}

function writeAll(calls: readonly IndexCall[], now: EpochMs): IndexOutcome[] {
  const outcomes: IndexOutcome[] = new Array(calls.length)
  const byBucket = new Map<string, number[]>()
  for (const [index, { bucket, operation }] of calls.entries())
    if (operation.do === 'let-go' || operation.do === 'open')
      outcomes[index] = attempt(() => answer(calls[index]!, now))
    else byBucket.set(bucket, [...(byBucket.get(bucket) ?? []), index])
  for (const [bucket, indices] of byBucket) {
    const done = write(
      bucket,
      indices.map((index) => calls[index]!),
      now,
    )
    for (const [at, index] of indices.entries()) outcomes[index] = done[at]!
  }
  return outcomes
}

/** Buffers that can be handed over instead of being copied. */
function handedOver(outcomes: readonly IndexOutcome[]): ArrayBuffer[] {
  return outcomes.flatMap((outcome) => {
    const { inline } = (outcome.ok ? outcome.answer : {}) as { inline?: Uint8Array<ArrayBuffer> }
    return inline !== undefined && inline.byteLength === inline.buffer.byteLength && inline.byteLength > 0
      ? [inline.buffer]
      : []
  })
}

port.on('message', (message: IndexMessage) => {
  if (message === 'close') {
    for (const bucket of [...opened.keys()]) letGo(bucket)
    port.close()
    return
  }
  const { now, calls } = message
  if (mode === 'write') return port.postMessage(writeAll(calls, now))
  const outcomes = calls.map((call) => attempt(() => answer(call, now)))
  port.postMessage(outcomes, handedOver(outcomes))
})
port.postMessage('ready')
