/** The home of a bucket goes away: who asks hears so at once, and nothing is half-stored. */
import assert from 'node:assert/strict'
import { glob, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { bucketAt } from '#/core/bucket-calls.ts'
import { isTroubled } from '#/core/buckets.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import { resourceKey } from '#/core/resources.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { createHomedStores } from '#/objects/homed-stores.ts'
import { openBuckets } from '#/stores/buckets/open-buckets.ts'

const id = 'b'
const resource = { kind: 'bucket', id, name: 'files', createdAt: 1, modifiedAt: 1, settings: {} } as const
const snapshot: Snapshot = {
  ...{ revision: 1, sites: [], programs: new Map() },
  resources: new Map([[resourceKey('bucket', id), resource]]),
}

test('a put whose home goes away in its middle is told so, and leaves nothing at either node', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-away-'))
  const meshes = createMemoryMeshes()
  const opened = await Promise.all(
    ['fra', 'iad'].map(async (pop) => {
      const mesh = meshes.join({ node: pop, pop, country: 'DE' })
      const pops = { mesh, homes: { home: async () => 'fra' } }
      const homed = createHomedStores({ self: pop, country: 'DE', pops, snapshot: () => snapshot })
      const own = join(folder, pop)
      const store = await openBuckets({ folder: own, limits: defaultLimits, clock: Date.now, log: () => {} })
      homed.serve('bucket', store.handler)
      return { bucket: bucketAt(homed, id), store, files: () => Array.fromAsync(glob('**/bodies/*/*', { cwd: own })) }
    }),
  )
  t.after(async () => {
    for (const { store } of opened) await store.close()
    await rm(folder, { recursive: true, force: true })
  })
  const [fra, iad] = opened as [(typeof opened)[0], (typeof opened)[0]]
  const chunk = Buffer.alloc(100_000, 'x')
  assert.ok(!isTroubled(await iad.bucket.put({ key: 'kept', bytes: chunk.length }, chunk)))
  const before = await fra.files()

  const half = async function* () {
    yield chunk
    // The home holds the first half on its disk when the link breaks.
    while ((await fra.files()).length === before.length) await new Promise((resolve) => setTimeout(resolve, 2))
    meshes.cut('fra', 'iad')
    yield chunk
  }
  for (const key of ['new', 'kept']) {
    await assert.rejects(iad.bucket.put({ key, bytes: 2 * chunk.length }, Readable.from(half())), { code: 'peer_away' })
    await assert.rejects(iad.bucket.get('kept'), { code: 'peer_away' })
    await assert.rejects(iad.bucket.delete(['kept']), { code: 'peer_away' })
    while ((await fra.files()).length > before.length) await new Promise((resolve) => setTimeout(resolve, 2))
    meshes.heal('fra', 'iad')
  }
  const page = await iad.bucket.list({})
  assert.deepEqual(!isTroubled(page) && page.objects.map(({ key, bytes }) => [key, bytes]), [['kept', chunk.length]])
  assert.deepEqual(await fra.files(), before)
  assert.deepEqual(await iad.files(), [])
})
