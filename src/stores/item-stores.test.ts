import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { test } from 'node:test'
import type { ItemChange, StoreItem } from '#/core/item-stores.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import { createClientKeys } from './client-keys.ts'
import { applyChanges, openItemStores } from './item-stores.ts'
import { createAccessLists, createConfigStores } from './program-stores.ts'

const item = (key: string, value: string, at = 0): StoreItem => ({ key, value, createdAt: at, modifiedAt: at })

test('changes are all applied, in their order, or none', () => {
  const before = new Map([['a', item('a', '1')]])
  const cases: [readonly ItemChange[], Record<string, string> | string][] = [
    [[], { a: '1' }],
    [[{ op: 'create', key: 'b', value: '2' }], { a: '1', b: '2' }],
    [[{ op: 'update', key: 'a', value: '2' }], { a: '2' }],
    [
      [
        { op: 'delete', key: 'a', value: '' },
        { op: 'create', key: 'a', value: '3' },
      ],
      { a: '3' },
    ],
    [
      [
        { op: 'upsert', key: 'b', value: '2' },
        { op: 'upsert', key: 'b', value: '3' },
      ],
      { a: '1', b: '3' },
    ],
    [[{ op: 'create', key: 'a', value: '2' }], 'item_taken a'],
    [
      [
        { op: 'create', key: 'b', value: '2' },
        { op: 'update', key: 'c', value: '2' },
      ],
      'no_item c',
    ],
    [[{ op: 'delete', key: 'c', value: '' }], 'no_item c'],
  ]
  for (const [changes, expected] of cases) {
    const outcome = applyChanges(before, changes, 5)
    const shown = outcome.ok
      ? Object.fromEntries([...outcome.result.values()].map(({ key, value }) => [key, value]))
      : `${outcome.why} ${outcome.key}`
    assert.deepEqual(shown, expected, JSON.stringify(changes))
  }
  const changed = applyChanges(before, [{ op: 'update', key: 'a', value: '2' }], 5)
  assert.deepEqual(changed.ok && changed.result.get('a'), { key: 'a', value: '2', createdAt: 0, modifiedAt: 5 })
})

test('changes at the same time, here and at another point of presence, lose nothing', async () => {
  const fabric = createMemoryFabric(Date.now)
  const open = () => openItemStores({ fabric, limits: defaultLimits, clock: Date.now })
  const [here, there] = [await open(), await open()]
  const made = await here.create('config', 'settings')
  assert.ok(made.ok)
  const { id } = made.result
  const edits = Array.from({ length: 60 }, (_, n) =>
    (n % 2 === 0 ? here : there).edit('config', id, [{ op: 'create', key: `k${n}`, value: `${n}` }]),
  )
  for (const outcome of await Promise.all(edits)) assert.equal(outcome.ok, true)
  for (const stores of [here, there, await open()]) {
    assert.equal(stores.items('config', id)?.size, 60)
    assert.equal(await createConfigStores({ stores }).get(id, 'k59'), '59')
  }
  assert.equal(await there.remove('config', id), true)
  assert.equal(here.find('config', id), undefined)
  assert.deepEqual(await here.edit('config', id, []), { ok: false, why: 'no_store' })
})

test('caps: stores, items, bytes; a refused change leaves what was', async () => {
  const limits = { itemStores: 2, itemStoreItems: 2, itemStoreBytes: 600 }
  const stores = await openItemStores({ fabric: createMemoryFabric(Date.now), limits, clock: Date.now })
  const one = await stores.create('config', 'one')
  assert.ok(one.ok)
  assert.equal((await stores.create('secret', 'one')).ok, true, 'names are of one kind')
  assert.deepEqual(await stores.create('access-list', 'two'), { ok: false, why: 'too_many' })
  const edit = (...items: [string, string][]) =>
    stores.edit(
      'config',
      one.result.id,
      items.map(([key, value]) => ({ op: 'upsert', key, value }) as const),
    )
  assert.equal((await edit(['a', '1'], ['b', '2'])).ok, true)
  assert.deepEqual(await edit(['c', '3']), { ok: false, why: 'too_many' })
  assert.deepEqual(await edit(['a', 'x'.repeat(600)]), { ok: false, why: 'too_large' })
  assert.deepEqual(
    [...stores.items('config', one.result.id)!.values()].map(({ value }) => value),
    ['1', '2'],
  )
})

test('an access list follows its changes', async () => {
  const stores = await openItemStores({ fabric: createMemoryFabric(Date.now), limits: defaultLimits, clock: Date.now })
  const lists = createAccessLists({ stores })
  const made = await stores.create('access-list', 'visitors')
  assert.ok(made.ok)
  const { id } = made.result
  assert.equal(await lists.lookup(id, '192.0.2.1'), undefined)
  await stores.edit('access-list', id, [
    { op: 'create', key: '0.0.0.0/0', value: 'BLOCK' },
    { op: 'create', key: '192.0.2.128/25', value: 'ALLOW' },
    { op: 'create', key: '::/0', value: 'ALLOW' },
  ])
  const found: [string, string][] = [
    ['192.0.2.127', '0.0.0.0/0 BLOCK'],
    ['192.0.2.128', '192.0.2.128/25 ALLOW'],
    ['192.0.2.255', '192.0.2.128/25 ALLOW'],
    ['2001:db8::1', '::/0 ALLOW'],
  ]
  for (const [address, expected] of found) {
    const entry = await lists.lookup(id, address)
    assert.equal(`${entry?.prefix} ${entry?.action}`, expected, address)
  }
  await stores.edit('access-list', id, [{ op: 'delete', key: '192.0.2.128/25', value: '' }])
  assert.equal((await lists.lookup(id, '192.0.2.200'))?.action, 'BLOCK')
})

test('a client key is signed with the key that the platform shows', () => {
  const keys = createClientKeys({ limits: { secretClientKeys: 2, secretClientKeyMs: 100 }, clock: () => 1000 })
  const { publicKey, signature, expiresAt } = keys.issue()
  assert.deepEqual([publicKey.length, expiresAt], [32, 1100])
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), keys.signingKey])
  const signer = createPublicKey({ key: der, format: 'der', type: 'spki' })
  assert.equal(verify(null, publicKey, signer, signature), true)
})
