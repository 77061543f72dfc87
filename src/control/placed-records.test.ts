/** What control planes inside and outside know of sites and services that stay in countries. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { elsewhere, withoutElsewhere } from '#/core/elsewhere.ts'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Blobs, Fabric } from '#/core/ports.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { createControl } from './control.ts'
import { createMemoryFabric } from './memory-fabric.fixture.ts'

const seal = { seal: (text: string) => text, open: (sealed: string) => sealed }
const site = { kind: 'site', id: 'shop' } as const
const mark = 'hidden-origin.test'

async function open(t: TestContext, fabric: Fabric, get?: Blobs['get']) {
  const served: Snapshot[] = []
  const control = await createControl({
    fabric: get === undefined ? fabric : { ...fabric, blobs: { ...fabric.blobs, get } },
    seal,
    engine: { prove: async () => ({ ok: true, startupMs: 1, exports: [] }), forget: async () => {} },
    limits: { ...defaultLimits, adoptRetryMs: 5, adoptRetryMaxMs: 20 },
    clock: () => 1000,
    adopt: async (snapshot) => void served.push(snapshot),
  })
  t.after(() => control.close())
  return { control, served }
}

async function everywhere(fabric: Fabric): Promise<string> {
  const found: Uint8Array[] = []
  for (const name of ['control-log', 'sites', 'services', 'service-tables', 'service-versions'])
    for (const { value } of await fabric.bucket(name).list({ limit: 1000 })) found.push(value)
  return Buffer.concat(found).toString()
}

/** As a node outside meets what stays elsewhere. */
const outside = (fabric: Fabric) => async (hash: string) => {
  if (hash.includes('@')) throw new EdgeError('not_here', 'not here')
  return fabric.blobs.get(hash)
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await pause(2)
}

test('outside a site has its hosts and leads nowhere; inside it is whole, also after a start', async (t) => {
  const fabric = createMemoryFabric(() => 1000)
  const inside = await open(t, fabric)
  await inside.control.siteAdd({ name: 'shop', origin: `https://${mark}/`, hosts: ['shop.test'] })
  const other = await open(t, fabric, outside(fabric))
  assert.match(await everywhere(fabric), new RegExp(mark))
  await inside.control.setPlacement(site, ['DE'])
  assert.doesNotMatch(await everywhere(fabric), new RegExp(mark))
  await inside.control.siteChange('shop', { hosts: ['shop.test', 'www.shop.test'] })
  assert.doesNotMatch(await everywhere(fabric), new RegExp(mark))

  const seen = (from: { readonly control: { readonly snapshot: Snapshot } }) => {
    const { target, hostnames } = from.control.snapshot.sites.find(({ name }) => name === 'shop')!
    return [hostnames.includes('www.shop.test'), target.kind === 'origin' && target.url]
  }
  const late = await open(t, fabric, outside(fabric))
  await until(() => other.control.snapshot.revision === inside.control.snapshot.revision)
  for (const one of [other, late]) assert.deepEqual(seen(one), [true, elsewhere])
  for (const one of [inside, await open(t, fabric)]) assert.deepEqual(seen(one), [true, `https://${mark}/`])
  // It has not the whole of it, so it may not put it anywhere.
  await assert.rejects(late.control.setPlacement(site, undefined), { code: 'misplaced' })

  await inside.control.setPlacement(site, undefined)
  await until(() => seen(other)[1] === `https://${mark}/`)
})

test('a change whose bytes are late is followed once they are there; until then nothing is changed from here', async (t) => {
  const fabric = createMemoryFabric(() => 1000)
  const inside = await open(t, fabric)
  await inside.control.setPlacement(site, ['DE'])
  let isHere = false
  const slow = await open(t, fabric, async (hash) =>
    isHere || !hash.includes('@') ? fabric.blobs.get(hash) : undefined,
  )
  const before = slow.control.snapshot.revision
  await inside.control.siteAdd({ name: 'shop', origin: `https://${mark}/`, hosts: ['shop.test'] })
  await until(() => slow.control.stuck !== undefined)
  assert.match(slow.control.stuck!, /what stays in DE has not arrived yet/)
  assert.equal(slow.control.snapshot.revision, before)
  const wish = { name: 'other', origin: 'https://other.test/', hosts: [] }
  await assert.rejects(slow.control.siteAdd(wish), /cannot change the platform yet.*Try again/)
  isHere = true
  await until(() => slow.control.snapshot.revision === inside.control.snapshot.revision)
  assert.deepEqual([slow.control.stuck, slow.control.problems], [undefined, []])
  await slow.control.siteAdd(wish)
  assert.equal(inside.control.snapshot.sites.length > 0, true)
})

test('the sweep keeps what records and entries of the log name, and nothing else', async (t) => {
  let now = 1000
  const fabric = createMemoryFabric(() => now)
  const { control } = await open(t, fabric)
  await control.setPlacement(site, ['DE'])
  for (const host of ['a.test', 'b.test'])
    await control.siteAdd({ name: 'shop', origin: `https://${host}/`, hosts: [] })
  const stray = await fabric.blobs.put(Buffer.from('stray'), { within: ['DE'] })
  const named = async () => {
    const names: string[] = []
    for await (const name of control.blobsInUse()) names.push(name)
    return new Set(names)
  }
  assert.equal((await named()).size, 2)
  assert.equal((await named()).has(stray.hash), false)
  now += 1
  // Widened, nothing names them any more.
  await control.setPlacement(site, undefined)
  assert.equal((await named()).size, 0)
})

test('outside a resource with secrets has its name; who is there changes it, and takes it back', async (t) => {
  const fabric = createMemoryFabric(() => 1000)
  const inside = await open(t, fabric)
  const { id } = await inside.control.createResource({ kind: 'server', name: 'main', settings: { host: mark } })
  const other = await open(t, fabric, outside(fabric))
  const placed = { kind: 'server', id } as const
  const resourcesIn = async () =>
    Buffer.concat((await fabric.bucket('resources').list({ limit: 9 })).map(({ value }) => value)).toString()
  assert.match((await everywhere(fabric)) + (await resourcesIn()), new RegExp(mark))
  await inside.control.setPlacement(placed, ['DE'])
  const changed = await inside.control.changeResource(placed, () => ({ settings: { host: mark, user: mark } }))
  await until(() => other.control.snapshot.revision === inside.control.snapshot.revision)
  await inside.control.close()
  assert.doesNotMatch((await everywhere(fabric)) + (await resourcesIn()), new RegExp(mark))

  const late = await open(t, fabric, outside(fabric))
  for (const { control } of [other, late]) {
    const [seen] = control.resources('server')
    assert.deepEqual([seen?.name, seen?.settings, seen?.held?.slice(64)], ['main', {}, '@DE'])
    await assert.rejects(
      control.changeResource(placed, () => ({ name: 'x' })),
      { code: 'not_here' },
    )
    await assert.rejects(control.setPlacement(placed, undefined), { code: 'misplaced' })
  }
  const again = await open(t, fabric)
  assert.deepEqual(again.control.resources('server'), [changed])
  // Nodes of this process that are elsewhere do not get it either.
  const { resources } = withoutElsewhere(again.control.snapshot, 'US')
  assert.deepEqual(resources?.get(`server/${id}`)?.settings, {})
  assert.equal(withoutElsewhere(again.control.snapshot, 'DE').resources, again.control.snapshot.resources)

  await again.control.setPlacement(placed, undefined)
  await until(() => other.control.resources('server')[0]?.held === undefined)
  assert.deepEqual(other.control.resources('server')[0]?.settings, changed.settings)
  assert.deepEqual(await Array.fromAsync(again.control.blobsInUse()), [])
})
