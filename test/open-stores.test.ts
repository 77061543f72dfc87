/** What removed resources held is erased: after a failure, after a restart, and when something late makes it again. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createCloser } from '#/core/closer.ts'
import type { HomedStores, StoreHandler } from '#/core/homed-stores.ts'
import { defaultLimits } from '#/core/limits.ts'
import { type Resource, type ResourceKind, resourceKey } from '#/core/resources.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { openHomedStores } from '#/open-stores.ts'
import { until } from './support/node.ts'

/** The stores of a node over `folder`, whose Snapshot names what `set` was given. */
async function open(t: TestContext, folder: string) {
  const closer = createCloser()
  t.after(() => closer.close())
  const limits = { ...defaultLimits, adoptRetryMs: 20, resourceKnownMs: 300 }
  const live = { snapshot: { revision: 0, sites: [], programs: new Map() } as Snapshot }
  const handlers = new Map<ResourceKind, StoreHandler>()
  const said: string[] = []
  const stores = await openHomedStores(
    {
      ...{ folder, limits, live, closer, clock: Date.now, accountId: 'account' },
      place: { node: 'a', pop: 'fra', country: 'DE' },
      say: (message: string) => void said.push(message),
      events: { deliver: async () => ({ end: 'ok' }) },
    } as never,
    { serve: (kind, handler) => void handlers.set(kind, handler), self: 'a' } as HomedStores,
  )
  return {
    ...{ limits, said, close: () => closer.close() },
    ask: (kind: ResourceKind, id: string, operation: string, body: object) =>
      handlers.get(kind)!({ kind, id, operation, body: Buffer.from(JSON.stringify(body)) }),
    async set(...named: [kind: ResourceKind, id: string][]) {
      const settings = { program: 'shop', className: 'Flow' }
      const resources = named.map(([kind, id]): [string, Resource] => [
        resourceKey(kind, id),
        { kind, id, name: id, createdAt: 0, modifiedAt: 0, settings },
      ])
      live.snapshot = { ...live.snapshot, revision: live.snapshot.revision + 1, resources: new Map(resources) }
      await stores.follow(live.snapshot)
    },
  }
}

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-stores-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const create = { instances: [{ id: 'one', params: 'null' }] }

test('what could not be erased holds up no other, and is erased later', async (t) => {
  const folder = await temporary(t)
  const { ask, set, limits, said } = await open(t, folder)
  await set(['workflow', 'a'], ['workflow', 'b'], ['sql', 'c'])
  for (const id of ['a', 'b']) await ask('workflow', id, 'create', create)
  await ask('sql', 'c', 'query', { sql: 'SELECT 1', params: [] })
  const most = limits.workflowQueue
  // No call gets through to the thread of workflows, so it closes no file.
  limits.workflowQueue = 0
  await set()
  const isHeld = (path: string) => existsSync(join(folder, path))
  assert.deepEqual([isHeld('workflow/a'), isHeld('workflow/b'), isHeld('sql/c')], [true, true, false])
  assert.equal(said.filter((one) => one === 'what a removed resource held is not all erased').length, 2)
  limits.workflowQueue = most
  await until(() => !isHeld('workflow/a') && !isHeld('workflow/b'), 'the folders to be gone')
})

test('a removal that was cut off is finished at the next start', async (t) => {
  const folder = await temporary(t)
  const before = await open(t, folder)
  await before.set(['workflow', 'kept'], ['workflow', 'half'])
  for (const id of ['kept', 'half']) await before.ask('workflow', id, 'create', create)
  await before.close()
  await rm(join(folder, 'workflow/half/instances.db'))
  await writeFile(join(folder, 'workflow/half/instances.db-wal'), 'left over')
  const { set, ask } = await open(t, folder)
  await set(['workflow', 'kept'])
  assert.equal(existsSync(join(folder, 'workflow/half')), false)
  const { body } = await ask('workflow', 'kept', 'list', { per: 10, offset: 0 })
  assert.match(String(body), /"total":1/)
})

test('what is made again by something late is erased by a later look, but not what is named again', async (t) => {
  const folder = await temporary(t)
  const { set } = await open(t, folder)
  const kinds = ['bucket', 'dataset', 'queue', 'sql', 'workflow'] as const
  const own = (kind: ResourceKind) => join(folder, kind, 'gone')
  const isHeld = (kind: ResourceKind) => existsSync(own(kind))
  await set(...kinds.map((kind): [ResourceKind, string] => [kind, 'gone']))
  for (const kind of kinds) await mkdir(own(kind), { recursive: true })
  await set()
  assert.deepEqual(kinds.filter(isHeld), [])
  await set(['sql', 'gone'])
  for (const kind of kinds) await mkdir(own(kind))
  await until(() => kinds.filter(isHeld).length === 1, 'the other folders to be gone')
  assert.equal(isHeld('sql'), true)
})
