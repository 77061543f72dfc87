/** A store of databases in a folder of its own, asked as the runtime's binding asks it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { HomedStore } from '#/core/homed-store.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import { openSqlStore } from './sql-store.ts'

export interface Told {
  /** Rows of the last statement. */
  readonly rows?: unknown[][]
  readonly columns?: string[]
  // biome-ignore lint/suspicious/noExplicitAny: what is told is compared, not used.
  readonly meta?: any
  readonly error?: string
  readonly bookmark: string
}

export interface TestStore {
  readonly folder: string
  readonly store: HomedStore
  ask(id: string, sql: string, ...params: unknown[]): Promise<Told>
  batch(id: string, queries: readonly { sql: string; params?: unknown[] }[]): Promise<Told>
}

export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-sql-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export const servedBy = { served_by: 'fra-1', served_by_region: 'WEUR', served_by_colo: 'FRA' }

export async function openTestStore(
  t: TestContext,
  { folder, ...limits }: Partial<Limits> & { readonly folder?: string } = {},
): Promise<TestStore> {
  const own = folder ?? (await temporaryFolder(t))
  const store = await openSqlStore({ folder: own, servedBy, limits: { ...defaultLimits, ...limits }, clock: Date.now })
  t.after(() => store.close())

  async function send(id: string, queries: unknown): Promise<Told> {
    const body = Buffer.from(JSON.stringify(queries))
    const answer = await store.handler({ kind: 'sql', id, operation: 'query', head: { columns: true }, body })
    const told = JSON.parse(Buffer.from(answer.body as Uint8Array).toString())
    const bookmark = answer.head.bookmark as string
    if (!Array.isArray(told)) return { error: told.error, bookmark }
    const { results, meta } = told.at(-1)
    return { ...results, meta, bookmark }
  }

  return {
    folder: own,
    store,
    ask: (id, sql, ...params) => send(id, { sql, params }),
    batch: (id, queries) => send(id, queries),
  }
}
