/** The datasets of one node: each a database in a folder of its own, open while points are written to it. */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { bytesOf, readPoints } from '#/core/datasets.ts'
import { EdgeError } from '#/core/errors.ts'
import type { GroupCommit, OpenGroupCommit } from '#/core/group-commit.ts'
import type { HomedStore } from '#/core/homed-store.ts'
import type { StoreAnswer, StoreCall } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { Resource } from '#/core/resources.ts'
import type { Clock, EpochMs, EpochSeconds } from '#/core/units.ts'
import type { Answer, DatasetDatabaseData, Operation } from './dataset-database.ts'
import { createQueryRunner, type QueryLimits } from './run-query.ts'

export interface DatasetStoreOptions {
  readonly folder: string
  readonly openGroupCommit: OpenGroupCommit
  /** By its id. */
  readonly resource: (id: string) => Resource | undefined
  readonly clock: Clock
  readonly limits: QueryLimits &
    Pick<
      Limits,
      'fabricBatch' | 'fabricQueueBytes' | 'datasetBytes' | 'datasetRetentionMs' | 'datasetSweepMs' | 'datasetsOpen'
    >
  readonly log: (message: string, facts: object) => void
}

interface Opened {
  readonly writer: GroupCommit<Operation, Answer>
  usedAt: EpochMs
}

export async function openDatasetStore(options: DatasetStoreOptions): Promise<HomedStore> {
  const { folder, clock, limits, log, resource } = options
  await mkdir(folder, { recursive: true, mode: 0o700 })
  /** The one that was used last comes last. */
  const open = new Map<string, Promise<Opened>>()
  const queries = createQueryRunner(limits)
  const fileOf = (id: string) => join(folder, id, 'points.db')
  const oldest = (): EpochSeconds => Math.floor((clock() - limits.datasetRetentionMs) / 1000)
  let closed = false

  async function start(id: string): Promise<Opened> {
    await mkdir(join(folder, id), { recursive: true, mode: 0o700 })
    const data: DatasetDatabaseData = { file: fileOf(id), limitBytes: limits.datasetBytes }
    const writer = await options.openGroupCommit<Operation, Answer>({
      module: new URL('./dataset-database.ts', import.meta.url),
      data,
      name: 'dataset',
      sizeOf: (operation) => (operation.kind === 'write' ? sizeOf(operation) : 0),
      clock,
      limits,
    })
    return { writer, usedAt: clock() }
  }

  async function openFor(id: string): Promise<Opened> {
    if (closed) throw new EdgeError('overloaded', 'This node is shutting down.')
    // Removed while it was waited for something: opening it would make its folder again.
    if (resource(id) === undefined) throw new EdgeError('store_unknown', `There is no dataset ${id}.`)
    const known = open.get(id)
    const opening = known ?? start(id)
    open.delete(id)
    open.set(id, opening)
    opening.catch(() => open.delete(id))
    // The number of threads is bounded: the one that rested for longest finishes and goes.
    if (open.size > limits.datasetsOpen) shut(open.keys().next().value!).catch(failed(id))
    const opened = await opening
    opened.usedAt = clock()
    return opened
  }

  async function shut(id: string): Promise<void> {
    const opened = open.get(id)
    open.delete(id)
    await opened?.then(
      ({ writer }) => writer.close(),
      () => {},
    )
  }

  const failed = (dataset: string) => (err: unknown) => log('a dataset cannot be written', { dataset, err })

  async function write(call: StoreCall): Promise<StoreAnswer> {
    const points = await readPoints(call)
    const { writer } = await openFor(call.id)
    const { pushedOut } = await writer.submit({ kind: 'write', points })
    if (pushedOut > 0) log('a dataset is full: its oldest points made room', { dataset: call.id, points: pushedOut })
    return { head: {}, body: null }
  }

  async function query(call: StoreCall, dataset: string): Promise<StoreAnswer> {
    // A database that is being made, or was when the node was killed, is whole then.
    const isWritten = existsSync(fileOf(call.id))
    if (isWritten) await openFor(call.id)
    const sql = (await bytesOf(call.body ?? null)).toString()
    const file = isWritten ? fileOf(call.id) : undefined
    const asked = { file, dataset, sql, now: Math.floor(clock() / 1000), oldest: oldest() }
    const told = await queries.run(asked, call.signal)
    if ('refused' in told) return { head: { refused: true }, body: Buffer.from(told.refused) }
    return { head: { contentType: told.contentType }, body: Buffer.from(told.text) }
  }

  /** Ids of datasets that have a database. */
  const held = async () => (await readdir(folder)).sort()

  async function expire(id: string): Promise<void> {
    if (!existsSync(fileOf(id)) || resource(id) === undefined) return
    const wasOpen = open.has(id)
    for (;;) {
      const { writer } = await openFor(id)
      const { more } = await writer.submit({ kind: 'expire', before: oldest() })
      if (!more) break
    }
    if (!wasOpen) await shut(id)
  }

  async function sweep(): Promise<void> {
    for (const id of await held()) if (!closed) await expire(id).catch(failed(id))
    for (const [id, opening] of open) {
      const { usedAt } = await opening
      if (clock() - usedAt > limits.datasetSweepMs) await shut(id)
    }
  }
  const sweeping = setInterval(() => void sweep().catch(failed('')), limits.datasetSweepMs)
  sweeping.unref()

  return {
    kind: 'dataset',
    held,
    async handler(call) {
      const found = resource(call.id)
      if (found === undefined) throw new EdgeError('store_unknown', `There is no dataset ${call.id}.`)
      if (call.operation === 'write') return write(call)
      if (call.operation === 'query') return query(call, found.name)
      throw new EdgeError('internal', `A dataset knows no ${call.operation}.`)
    },
    async erase(id) {
      await shut(id)
      await rm(join(folder, id), { recursive: true, force: true })
    },
    async close() {
      closed = true
      clearInterval(sweeping)
      await queries.close()
      await Promise.all([...open.keys()].map(shut))
    },
  }
}

function sizeOf({ points }: Extract<Operation, { kind: 'write' }>): number {
  return points.reduce((sum, { blobs }) => sum + 300 + blobs.reduce((bytes, blob) => bytes + 2 * blob.length, 0), 0)
}
