import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import type { Standing } from '#/core/object-homes.ts'
import { createPlacementMark } from '#/core/placement-mark.ts'
import { createCutFabric } from './cut-fabric.fixture.ts'
import { createObjectHomes } from './homes.ts'

const revision = () => 1
const standing: Standing = { epoch: () => 1, onChange: () => () => {} }
const key = 'k1'

function openNodes() {
  const meshes = createMemoryMeshes()
  const fabric = createCutFabric(Date.now)
  const places = [
    { node: 'fra', pop: 'fra', country: 'DE' },
    { node: 'iad', pop: 'iad', country: 'US' },
  ]
  const joined = places.map((place) => [place.node, meshes.join(place)] as const)
  const open = (limits = defaultLimits) =>
    Object.fromEntries(
      joined.map(([node, mesh]) => [
        node,
        createObjectHomes({ fabric: fabric.view(node), mesh, standing, revision, limits, log: () => {} }),
      ]),
    )
  return { meshes, fabric, open, homes: open() }
}

test('of many first callers at once one decides, and all hear the same', async () => {
  const { homes, fabric } = openNodes()
  fabric.delay = () => new Promise((resolve) => setImmediate(resolve))
  for (let index = 0; index < 50; index++) {
    const object = { key, id: `id-${index}` }
    const order = index % 2 === 0 ? ['fra', 'iad', 'fra', 'iad'] : ['iad', 'fra', 'iad', 'fra']
    const told = await Promise.all(order.map((node) => homes[node]!.home(object)))
    assert.equal(new Set(told).size, 1, String(told))
  }
})

test('a home stays, also where the wish changes; outside of its countries it is refused', async () => {
  const { homes, open } = openNodes()
  const object = { key, id: 'a' }
  assert.equal(await homes.fra!.home(object), 'fra')
  assert.equal(await homes.iad!.home(object, { hint: 'enam' }), 'fra')
  await assert.rejects(homes.iad!.home(object, { within: ['US'] }), { code: 'not_here', message: /lives in DE/ })
  assert.equal(await open().iad!.home(object, { within: ['DE', 'FR'] }), 'fra')
})

test('without the fabric what is known is answered, and what is not is refused', async () => {
  const { homes, fabric, meshes } = openNodes()
  assert.equal(await homes.fra!.home({ key, id: 'a' }), 'fra')
  fabric.cut('fra')
  assert.equal(await homes.fra!.home({ key, id: 'a' }), 'fra')
  await assert.rejects(homes.fra!.home({ key, id: 'b' }), { code: 'fabric_away' })
  fabric.heal('fra')
  meshes.cut('fra', 'iad')
  await assert.rejects(homes.fra!.home({ key, id: 'b' }, { within: ['US'] }), { code: 'peer_away' })
  await assert.rejects(homes.fra!.home({ key, id: 'b' }, { within: ['AU'] }), { code: 'not_here' })
})

test('what a namespace is forgotten with are all its homes and no other', async () => {
  const { homes, open } = openNodes()
  for (let index = 0; index < 1100; index++) await homes.fra!.home({ key, id: String(index) })
  await homes.fra!.home({ key: 'k2', id: '7' })
  await homes.fra!.forget(key)
  const { iad } = open({ ...defaultLimits, objectHomesKept: 2 })
  for (const id of ['0', '1099', '7']) assert.equal(await iad!.home({ key, id }), 'iad')
  assert.equal(await iad!.home({ key: 'k2', id: '7' }), 'fra')
})

test('by settings that a node has not followed nothing gets a home; once it has, the wish is made anew', async () => {
  const { meshes, fabric } = openNodes()
  const mesh = meshes.join({ node: 'nrt', pop: 'nrt', country: 'JP' })
  let revision = 1
  const view = fabric.view('nrt')
  const options = { fabric: view, mesh, standing, revision: () => revision, limits: defaultLimits, log: () => {} }
  const homes = createObjectHomes(options)
  assert.equal(await homes.home({ key, id: 'before' }), 'nrt')
  await createPlacementMark(view).note(2)
  assert.equal(await homes.home({ key, id: 'before' }), 'nrt')
  await assert.rejects(homes.home({ key, id: 'new' }), { code: 'fabric_away', message: /has not followed yet/ })

  let within: readonly string[] | undefined
  const asked = homes.home({ key, id: 'new' }, () => ({ ...(within && { within }) }))
  within = ['DE']
  revision = 2
  assert.equal(await asked, 'fra')
})
