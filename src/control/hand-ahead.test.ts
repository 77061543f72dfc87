import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import type { CountryCode } from '#/core/pops.ts'
import type { Deployment } from '#/core/snapshot.ts'
import { openHandAhead } from './hand-ahead.ts'

const meshes = createMemoryMeshes()
const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

function openNode(node: string, country: CountryCode) {
  const { blobs } = createMemoryFabric(Date.now)
  const kept: string[] = []
  const handed = openHandAhead({
    mesh: meshes.join({ node, pop: node, country }),
    blobs,
    async keep(blob, bytes) {
      assert.equal((await blobs.put(bytes)).hash, blob)
      kept.push(blob)
    },
    limits: { blobsHanded: 2 },
    log: (message, facts) => assert.fail(`${message} ${JSON.stringify(facts)}`),
  })
  return { blobs, kept, ...handed }
}

const deploymentOf = (...blobs: string[]): Deployment =>
  ({
    id: 'v1',
    bindings: [],
    code: { mainModule: 'a', modules: blobs.map((blob, index) => ({ name: `m${index}`, type: 'esm', blob })) },
  }) as unknown as Deployment

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn()
}

test('modules go to the nodes in the countries of their program, each once', async () => {
  const [fra, iad, nrt] = [openNode('fra', 'DE'), openNode('iad', 'US'), openNode('nrt', 'JP')]
  const [one, two, three] = await Promise.all(
    ['first', 'second', 'third'].map(async (text) => (await fra.blobs.put(Buffer.from(text))).hash),
  )
  assert.equal(one, hashOf(Buffer.from('first')))
  fra.hand(deploymentOf(one!, two!), ['DE', 'US'])
  await until(() => iad.kept.length === 2)
  assert.deepEqual(iad.kept, [one, two])
  fra.hand(deploymentOf(one!, two!, three!), undefined)
  await until(() => nrt.kept.length === 3 && iad.kept.length === 3)
  assert.deepEqual(iad.kept, [one, two, three])
  assert.deepEqual(nrt.kept, [one, two, three])
  assert.deepEqual(fra.kept, [])
  // A node that is cut off fetches them later; who hands them over does not wait.
  meshes.cut('fra', 'nrt')
  const { hash } = await fra.blobs.put(Buffer.from('fourth'))
  fra.hand(deploymentOf(hash), undefined)
  await until(() => iad.kept.includes(hash))
  assert.ok(!nrt.kept.includes(hash))
})
