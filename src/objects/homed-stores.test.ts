import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StoreHandler } from '#/core/homed-stores.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import { resourceKey } from '#/core/resources.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { createHomedStores } from './homed-stores.ts'

const resource = { kind: 'sql', id: 'd1', name: 'shop', createdAt: 1, modifiedAt: 1, settings: {} } as const
const snapshot: Snapshot = {
  revision: 1,
  sites: [],
  programs: new Map(),
  resources: new Map([[resourceKey('sql', 'd1'), resource]]),
}

const told: StoreHandler = async ({ operation, head, body }) => {
  const sent = body === null || body === undefined ? '' : body instanceof Uint8Array ? 'bytes' : 'stream'
  return { head: { operation, ...head, sent }, body: Buffer.from('answer') }
}

test('the only node answers itself, by kind', async () => {
  const stores = createHomedStores({ self: 'local', country: 'DE', snapshot: () => snapshot })
  stores.serve('sql', told)
  const { head } = await stores.call({ kind: 'sql', id: 'd1', operation: 'query', head: { sql: 'SELECT 1' } })
  assert.deepEqual(head, { operation: 'query', sql: 'SELECT 1', sent: '' })
  assert.equal(await stores.home({ kind: 'sql', id: 'd1' }), 'local')
})

test('what is not there is refused by name, before anybody keeps anything of it', async () => {
  const stores = createHomedStores({ self: 'local', country: 'DE', snapshot: () => snapshot })
  stores.serve('sql', told)
  const unknown = stores.call({ kind: 'sql', id: 'd2', operation: 'query' })
  await assert.rejects(unknown, { code: 'store_unknown', message: 'There is no sql d2.' })
})

test('a call crosses the mesh to the home, head and body, and errors come back with their code', async () => {
  const meshes = createMemoryMeshes()
  const nodes = ['fra', 'iad'].map((pop) => {
    const mesh = meshes.join({ node: pop, pop, country: 'DE' })
    return createHomedStores({
      self: pop,
      country: 'DE',
      pops: { mesh, homes: { home: async ({ key, id }) => (key === 'store-sql' && id === 'd1' ? 'iad' : pop) } },
      snapshot: () => snapshot,
    })
  })
  const [fra, iad] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
  iad.serve('sql', told)
  const call = { kind: 'sql', id: 'd1', operation: 'query', head: { sql: 'SELECT 1' }, body: Buffer.from('x') } as const
  const { head, body } = await fra.call(call)
  assert.equal(head.sql, 'SELECT 1')
  assert.equal(head.sent, 'stream')
  assert.ok(body !== null && !(body instanceof Uint8Array))
  assert.equal(Buffer.concat(await body.toArray()).toString(), 'answer')
  meshes.cut('fra', 'iad')
  await assert.rejects(fra.call(call), { code: 'peer_away' })
})

test('the only node refuses what may not be in its country', async () => {
  const placed = { ...snapshot, placements: new Map([['d1', ['FR']]]) }
  const stores = createHomedStores({ self: 'local', country: 'DE', snapshot: () => placed })
  stores.serve('sql', told)
  await assert.rejects(stores.call({ kind: 'sql', id: 'd1', operation: 'query' }), { code: 'not_here' })
})
