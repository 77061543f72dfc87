import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import type { Entry } from '#/core/ports.ts'
import { spreadNews } from './spread-news.ts'

const keyOf = (revision: number) => String(revision).padStart(16, '0')
const entryOf = (revision: number, by: string): Entry => ({
  key: keyOf(revision),
  value: Buffer.from(JSON.stringify({ by, change: `change ${revision}` })),
  revision: 1000 + revision,
})

function openPlatform() {
  const meshes = createMemoryMeshes()
  function openNode(node: string) {
    const copy = createMemoryFabric(Date.now).bucket('control-log')
    const kept: string[] = []
    const keep = async ({ key, value, revision }: Entry) => {
      kept.push(`${Number(key)} at ${revision}`)
      if ((await copy.get(key)) === undefined) await copy.put(key, value)
    }
    const stop = spreadNews({
      mesh: meshes.join({ node, pop: node, country: 'DE' }),
      ...{ copy, keep, by: node, limits: { newsBytes: 300 } },
      log: () => {},
    })
    /** As a change that this node made, or heard of over what is shared, comes into its copy. */
    const write = ({ key, value }: Entry) => copy.put(key, value)
    const revisions = async () => (await copy.list({ limit: 100 })).map(({ key }) => Number(key)).join()
    return { copy, kept, stop, write, revisions }
  }
  return { meshes, fra: openNode('fra'), iad: openNode('iad') }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await turn()
}

test('who writes an entry tells all others; who hears of it elsewhere tells nobody', async () => {
  const { fra, iad } = openPlatform()
  for (const node of [fra, iad]) await node.write(entryOf(1, 'founder'))
  await fra.write(entryOf(2, 'fra'))
  await until(async () => (await iad.revisions()) === '1,2')
  await iad.write(entryOf(3, 'nrt'))
  await iad.write(entryOf(4, 'iad'))
  // The one before it is missing at fra: it asks for what it lacks.
  await until(async () => (await fra.revisions()) === '1,2,3,4')
  assert.equal(iad.kept.length, 1)
  assert.deepEqual(new Set(fra.kept).size, fra.kept.length)
})

test('a node that was cut off asks when its link is back, page by page; what does not follow on what it has is not taken', async () => {
  const { meshes, fra, iad } = openPlatform()
  for (const node of [fra, iad]) await node.write(entryOf(1, 'founder'))
  await turn()
  meshes.cut('fra', 'iad')
  await turn()
  for (let revision = 2; revision <= 30; revision++) await fra.write(entryOf(revision, 'fra'))
  assert.equal(await iad.revisions(), '1')
  meshes.heal('fra', 'iad')
  await until(async () => (await iad.revisions()).endsWith(',30'))
  assert.equal((await iad.revisions()).split(',').length, 30)

  meshes.cut('fra', 'iad')
  await turn()
  for (let revision = 31; revision <= 34; revision++) await fra.write(entryOf(revision, 'fra'))
  // Older entries were removed from the log: the records say more than it does now.
  for (let revision = 1; revision <= 32; revision++) await fra.copy.delete(keyOf(revision))
  const asked = iad.kept.length
  meshes.heal('fra', 'iad')
  for (let turns = 0; turns < 50; turns++) await turn()
  assert.equal(iad.kept.length, asked)
  fra.stop()
  iad.stop()
})
