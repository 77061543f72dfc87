/** Databases that live at this node: a folder each, asked through `HomedStores`. */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { EdgeError } from '#/core/errors.ts'
import type { HomedStore } from '#/core/homed-store.ts'
import type { StoreAnswer, StoreCall } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import { bytesUpTo } from '#/core/store-body.ts'
import type { Clock } from '#/core/units.ts'
import { createDatabasePool } from './database-pool.ts'
import type { ServedBy } from './run-query.ts'
import { transferOperations } from './transfer-operations.ts'
import { createTransfers } from './transfers.ts'

export interface SqlStoreOptions {
  /** Of this store alone; made when it is needed. */
  readonly folder: string
  readonly servedBy: ServedBy
  readonly limits: Limits
  readonly clock: Clock
}

/** Rejects when its folder cannot be read. */
export async function openSqlStore({ folder, servedBy, limits, clock }: SqlStoreOptions): Promise<HomedStore> {
  const pool = createDatabasePool({ servedBy, limits, clock })
  const transfers = createTransfers({ pool, servedBy, limits, clock })
  const made = new Set<string>()

  function folderOf(id: string): string {
    if (!/^[\w-]+$/.test(id)) throw new EdgeError('internal', 'The id of a database is no folder name.')
    return join(folder, id)
  }

  async function fileOf(id: string): Promise<string> {
    const own = folderOf(id)
    if (!made.has(id)) {
      await mkdir(own, { recursive: true, mode: 0o700 })
      made.add(id)
    }
    return join(own, 'database')
  }

  /** Statements and their parameters in, JSON out; `refused` in the head says that it was not done. */
  async function query({ id, head, body }: StoreCall): Promise<StoreAnswer> {
    const { columns = false, each = false } = head ?? {}
    const most = limits.sqlRequestBytes
    const asked = await bytesUpTo(body, most)
    if (asked === undefined) throw new EdgeError('body_too_large', `A request to a database has at most ${most} bytes.`)
    const answer = await pool.run(await fileOf(id), { kind: 'query', columns, each }, asked)
    const { bookmark } = answer.head
    return { head: { bookmark, ...(answer.refused !== undefined && { refused: answer.refused }) }, body: answer.body }
  }

  async function info({ id }: StoreCall): Promise<StoreAnswer> {
    const { head } = await pool.run(await fileOf(id), { kind: 'info' }, new Uint8Array(0))
    const { tables, bytes, bookmark } = head
    return { head: { tables, bytes, bookmark, region: servedBy.served_by_region }, body: null }
  }

  /** `time`: milliseconds since 1970; absent: now. */
  async function findBookmark({ id, head }: StoreCall): Promise<StoreAnswer> {
    const told = await pool.run(await fileOf(id), { kind: 'bookmark', time: head?.time }, new Uint8Array(0))
    return { head: { refused: told.refused, bookmark: told.head.bookmark }, body: null }
  }

  async function checkExport({ id, head }: StoreCall): Promise<StoreAnswer> {
    const told = await pool.run(await fileOf(id), { kind: 'export-check', options: head ?? {} }, new Uint8Array(0))
    return { head: { refused: told.refused, bookmark: told.head.bookmark }, body: null }
  }

  const operations: Readonly<Record<string, (call: StoreCall) => Promise<StoreAnswer>>> = {
    query,
    info,
    'export-check': checkExport,
    bookmark: findBookmark,
    ...transferOperations(transfers, folderOf),
  }

  return {
    kind: 'sql',
    async handler(call) {
      const operation = Object.hasOwn(operations, call.operation) ? operations[call.operation] : undefined
      if (operation === undefined) throw new EdgeError('internal', `Databases know no ${call.operation}.`)
      return operation(call)
    },
    held: async () => readdir(folder).catch(() => []),
    async erase(id) {
      const own = folderOf(id)
      await pool.alone(join(own, 'database'), async () => {
        made.delete(id)
        await rm(own, { recursive: true, force: true })
      })
    },
    async close() {
      await transfers.close()
      await pool.close()
    },
  }
}
