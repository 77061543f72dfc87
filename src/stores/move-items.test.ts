/** Item stores on nodes in several countries over one fabric that keeps its placed buckets from the others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import { allows, type Within } from '#/core/pops.ts'
import type { Bucket, Fabric } from '#/core/ports.ts'
import { openItemStores } from './item-stores.ts'

function openPlatform() {
  const fabric = createMemoryFabric(Date.now)
  const cleaned: string[] = []
  /** As a node in this country has it. */
  function seenFrom(country: string): Fabric {
    const refuse = () => {
      throw new EdgeError('not_here', 'elsewhere')
    }
    const nothing: Bucket = {
      get: async () => refuse(),
      put: async () => refuse(),
      delete: async () => refuse(),
      list: async () => refuse(),
      watch: refuse,
    }
    return {
      ...fabric,
      bucket: (name, { within } = {}) => (allows(within, country) ? fabric.bucket(name) : nothing),
      clean: async () => void cleaned.push(country),
    }
  }
  const failures: unknown[] = []
  const open = (country: string) =>
    openItemStores({
      fabric: seenFrom(country),
      limits: defaultLimits,
      clock: Date.now,
      country,
      report: (error) => failures.push(error),
    })
  const textOf = async (bucket: string) =>
    (await fabric.bucket(bucket).list({ limit: 100 })).map(({ value }) => Buffer.from(value).toString()).join()
  return { fabric, open, cleaned, failures, textOf }
}

const turns = async (count = 200) => {
  for (let turn = 0; turn < count; turn++) await null
}

test('a store moves to its countries, is written there, and is refused elsewhere', async () => {
  const { open, cleaned, failures, textOf } = openPlatform()
  const [fra, iad, nrt] = [await open('DE'), await open('US'), await open('JP')]
  const made = await iad.create('config', 'settings')
  assert.ok(made.ok)
  const { id } = made.result
  await iad.edit('config', id, [{ op: 'create', key: 'a', value: 'marker' }])
  const place = async (within: Within | undefined) => {
    const placements = within && new Map([[id, within]])
    await Promise.all([fra, iad, nrt].map((stores) => stores.place(placements)))
    await turns()
  }

  await place(['DE'])
  assert.match(await textOf('item-stores'), /settings/)
  assert.doesNotMatch(await textOf('item-stores'), /marker/)
  assert.match(await textOf('item-stores@DE'), /marker/)
  assert.ok(cleaned.includes('DE'))
  assert.equal(fra.items('config', id)?.get('a')?.value, 'marker')
  for (const outside of [iad, nrt, await open('US')]) {
    assert.equal(outside.find('config', id)?.name, 'settings')
    assert.equal(outside.isHere('config', id), false)
    assert.throws(() => outside.items('config', id), { code: 'not_here', message: /"settings" holds stays in DE/ })
    await assert.rejects(outside.edit('config', id, []), { code: 'not_here' })
    await assert.rejects(outside.rename('config', id, 'x'), { code: 'not_here' })
    await assert.rejects(outside.remove('config', id), { code: 'not_here' })
  }
  assert.deepEqual(await iad.create('config', 'settings'), { ok: false, why: 'name_taken' })
  const before = fra.revision('config', id)
  assert.equal((await fra.edit('config', id, [{ op: 'upsert', key: 'a', value: 'second' }])).ok, true)
  assert.ok(fra.revision('config', id) > before)
  assert.equal((await fra.rename('config', id, 'renamed')).ok, true)
  assert.equal(iad.find('config', id)?.name, 'renamed')

  // No node may hold it both before and after: it goes by way of both.
  await place(['JP'])
  assert.equal(nrt.items('config', id)?.get('a')?.value, 'second')
  assert.deepEqual([await textOf('item-stores@DE'), await textOf('item-stores@DE,JP')], ['', ''])
  assert.equal(fra.isHere('config', id), false)
  assert.equal((await (await open('JP')).edit('config', id, [{ op: 'delete', key: 'a', value: '' }])).ok, true)

  await place(undefined)
  assert.equal(await textOf('item-stores@JP'), '')
  for (const stores of [fra, iad, nrt]) assert.equal(stores.items('config', id)?.size, 0)
  await place(['US'])
  assert.equal(await iad.remove('config', id), true)
  assert.deepEqual([await textOf('item-stores'), await textOf('item-stores@US')], ['', ''])
  assert.deepEqual(failures, [])
})

test('what no node may take stays where it is', async () => {
  const { open, textOf } = openPlatform()
  const iad = await open('US')
  const made = await iad.create('config', 'settings')
  assert.ok(made.ok)
  await iad.edit('config', made.result.id, [{ op: 'create', key: 'a', value: 'marker' }])
  await iad.place(new Map([[made.result.id, ['DE']]]))
  assert.match(await textOf('item-stores'), /marker/)
})

test('changes while a store moves lose nothing', async () => {
  const { open } = openPlatform()
  const [one, other] = [await open('DE'), await open('DE')]
  const made = await one.create('config', 'settings')
  assert.ok(made.ok)
  const { id } = made.result
  const places: (Within | undefined)[] = [['DE'], ['DE', 'FR'], undefined, ['DE']]
  let count = 0
  for (const within of places) {
    const placements = within && new Map([[id, within]])
    const edits = Array.from({ length: 20 }, () =>
      one.edit('config', id, [{ op: 'create', key: `k${count++}`, value: 'v' }]),
    )
    await Promise.all([...edits, one.place(placements), other.place(placements)])
    await turns()
  }
  for (const stores of [one, other, await open('DE')]) assert.equal(stores.items('config', id)?.size, 80)
})
