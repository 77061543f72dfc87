/** Buckets whose countries change while nodes are apart: what was acknowledged outside is handed over before it goes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createReplicaNodes, type ReplicaNode } from '../support/replica-nodes.ts'
import { until } from '../support/until.ts'

const read = async (node: ReplicaNode, key: string) => {
  const entry = await node.replicas.bucket('b').get(key)
  return entry && Buffer.from(entry.value).toString()
}
const write = (node: ReplicaNode, key: string, value: string) => node.replicas.bucket('b').put(key, Buffer.from(value))
const keysHeld = async (node: ReplicaNode) => {
  const held = await Array.fromAsync(node.replicas.held())
  return held.reduce((sum, { keys, tombstones }) => sum + keys + tombstones, 0)
}
const caughtUp = (...nodes: ReplicaNode[]) =>
  until(
    () =>
      nodes.every(({ replicas }) =>
        replicas.status().peers.every(({ reachable, theyLack }) => !reachable || theyLack.operations === 0),
      ),
    'all have what the others have',
  )

/** fra (DE), iad (US) and nrt (JP) with one bucket that may lie anywhere. */
async function openThree(t: Parameters<typeof createReplicaNodes>[0]) {
  const nodes = createReplicaNodes(t)
  const place: { within?: readonly string[] | undefined } = {}
  const options = { withinOf: () => place.within }
  const fra = await nodes.open('fra', 'DE', options)
  const iad = await nodes.open('iad', 'US', options)
  const nrt = await nodes.open('nrt', 'JP', options)
  for (const node of [fra, iad, nrt]) await node.replicas.caughtUp()
  return {
    ...nodes,
    place,
    fra,
    iad,
    nrt,
    recheck: () => Promise.all([fra, iad, nrt].map((one) => one.replicas.recheck())),
  }
}

test('a write that only a node outside has is kept until a node inside took it, then removed', async (t) => {
  const { meshes, place, fra, iad, nrt } = await openThree(t)
  meshes.cut('fra', 'iad')
  meshes.cut('iad', 'nrt')
  const blob = Buffer.from('of the value that nobody else has')
  const { hash } = await iad.replicas.blobs.put(blob)
  await write(iad, 'k', 'acknowledged while cut off')
  await write(iad, 'large', `blob:${hash}`)
  place.within = ['DE']
  for (const node of [fra, nrt]) assert.deepEqual((await node.replicas.recheck()).kept, [])
  assert.deepEqual(await iad.replicas.recheck(), { moved: [], removed: [], kept: ['b'] })
  await assert.rejects(async () => read(iad, 'k'), { code: 'not_here' })
  // A node outside in reach is nobody to hand it to.
  meshes.heal('iad', 'nrt')
  await nrt.replicas.caughtUp()
  assert.equal(await keysHeld(iad), 2)
  meshes.heal('fra', 'iad')
  await until(async () => (await keysHeld(iad)) === 0, 'iad holds nothing')
  assert.equal(await read(fra, 'k'), 'acknowledged while cut off')
  assert.ok(blob.equals((await fra.blobs.get(hash))!))
  await until(async () => !(await iad.blobs.has(hash)), 'iad has no blob of it')
  assert.equal(await keysHeld(nrt), 0)
})

test('a bucket goes from one country to another without a node that is in both', async (t) => {
  const { place, fra, iad, nrt, recheck } = await openThree(t)
  place.within = ['DE']
  await recheck()
  await write(fra, 'k', 'v')
  await write(fra, 'gone', 'v')
  await fra.replicas.bucket('b').delete('gone')
  place.within = ['US']
  const [ofFra] = await recheck()
  assert.deepEqual(ofFra!.removed, ['b'])
  assert.equal(await read(iad, 'k'), 'v')
  assert.equal(await read(iad, 'gone'), undefined)
  assert.equal(await keysHeld(fra), 0)
  assert.equal(await keysHeld(nrt), 0)
})

test('a setting that is taken back before anybody took the writes gives them to everybody', async (t) => {
  const { meshes, place, fra, iad, nrt, recheck } = await openThree(t)
  meshes.cut('fra', 'iad')
  meshes.cut('iad', 'nrt')
  await write(iad, 'k', 'v')
  place.within = ['DE']
  await recheck()
  // nrt takes all that it may have, and counts what iad wrote as seen.
  meshes.heal('iad', 'nrt')
  await caughtUp(iad, nrt)
  place.within = undefined
  await recheck()
  meshes.heal('fra', 'iad')
  for (const node of [fra, iad, nrt]) await until(async () => (await read(node, 'k')) === 'v', node.place.node)
})
