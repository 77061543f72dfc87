import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import { claimName, createNodeReports, type NodeReport } from './node-reports.ts'

const report = (node: string, revision: number): NodeReport => ({
  node,
  pop: node,
  country: 'DE',
  version: '1',
  startedAt: 0,
  revision,
  wanted: revision,
  servedSince: 0,
  ageMs: 0,
  requests: 0,
  errors: 0,
})

test('each node hears of the others, and knows itself best; nonsense is no report', async () => {
  const fabric = createMemoryFabric(Date.now)
  let now = 1000
  const limits = { ...defaultLimits, nodeStatusMs: 1_000_000 }
  const one = createNodeReports({ fabric, own: () => [report('fra', 3)], limits, clock: () => now })
  const two = createNodeReports({ fabric, own: () => [report('iad', 2)], limits, clock: () => now })
  fabric.publish('pops/status', Buffer.from('{'))
  fabric.publish('pops/status', Buffer.from('[{"node":"x"}]'))
  await new Promise((resolve) => setImmediate(resolve))
  now = 5000
  assert.deepEqual(
    one.all().map(({ node, revision, heardAt }) => `${node} ${revision} ${heardAt}`),
    ['fra 3 5000', 'iad 2 1000'],
  )
  // The second came after the first had spoken.
  assert.deepEqual(
    two.all().map(({ node }) => node),
    ['iad'],
  )
  one.close()
  two.close()
})

test('while the fabric is away nodes tell each other over their links', async (t) => {
  const meshes = createMemoryMeshes()
  const fabric = { publish() {}, subscribe: () => () => {}, state: 'away' as 'here' | 'away' }
  const open = (node: string, state: 'here' | 'away') => {
    const mesh = meshes.join({ node, pop: node, country: 'DE' })
    const own = () => [{ ...report(node, 3), ...(state === 'away' && { awaySince: 1 }) }]
    const limits = { ...defaultLimits, nodeStatusMs: 20 }
    const reports = createNodeReports({ fabric: { ...fabric, state }, meshes: [mesh], own, limits, clock: Date.now })
    t.after(() => reports.close())
    return reports
  }
  const cutOff = open('fra', 'away')
  const others = [open('iad', 'here'), open('nrt', 'here')]
  const told = ({ all }: typeof cutOff) => all().map(({ node, awaySince }) => `${node} ${awaySince}`)
  while (told(cutOff).length < 3 || others.some((one) => told(one).length < 2))
    await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual(told(cutOff), ['fra 1', 'iad undefined', 'nrt undefined'])
  assert.deepEqual(told(others[0]!), ['fra 1', 'iad undefined'])
})

test('a name goes to one node: who runs keeps it, of two that start at once one goes on', async () => {
  const fabric = createMemoryFabric(Date.now)
  const turn = () => new Promise((resolve) => setTimeout(resolve, 5))
  const claim = (node: string) => claimName({ fabric, node, waitMs: 1, pause: turn })
  const first = await claim('fra')
  await claim('iad')
  await assert.rejects(claim('fra'), { code: 'bad_request', message: /"fra" runs already/ })
  first.release()
  const both = await Promise.allSettled([claim('fra'), claim('fra')])
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})
