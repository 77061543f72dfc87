/** A control plane that has not heard of a setting of residency yet writes nothing where it may not be any more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import type { Fabric, Proof } from '#/core/ports.ts'
import { createAssetUploads } from './assets-uploads.ts'
import { lateView } from './behind.fixture.ts'
import { type Control, createControl } from './control.ts'
import { createMemoryFabric } from './memory-fabric.fixture.ts'
import { Refusal } from './refusal.ts'

const seal = {
  seal: (text: string) => `sealed ${text}`,
  open: (sealed: string) => sealed.slice(7),
}
const proven: Proof = { ok: true, startupMs: 1, exports: [{ name: 'default', kind: 'handlers', handlers: ['fetch'] }] }
const marker = 'marker-of-what-stays-5b1e'
/** As wrangler would announce a file that holds the marker. */
const fileHash = 'd988d325da6d3f8629b8380a7c688628'

function openControl(fabric: Fabric, by: string): Promise<Control> {
  return createControl({
    ...{ fabric, seal, by, limits: defaultLimits, clock: () => 1000 },
    engine: { prove: async () => proven, forget: async () => {} },
    adopt: async () => {},
  })
}

/** A machine that makes settings, and one that does not hear of them. */
async function openTwo() {
  const shared = createMemoryFabric(() => 1000)
  const late = lateView(shared)
  return { shared, late, near: await openControl(shared, 'fra'), far: await openControl(late.fabric, 'iad') }
}

const places = [
  'control-log',
  'programs',
  'program-versions',
  'services',
  'service-tables',
  'service-versions',
  'sites',
]

/** Where the marker lies that all nodes may read. */
async function strays(fabric: Fabric): Promise<string[]> {
  const found: string[] = []
  for (const name of places)
    for (const { key, value } of await fabric.bucket(name).list({ limit: 1000 }))
      if (Buffer.from(value).includes(marker)) found.push(`${name}/${key}`)
  for await (const { hash } of fabric.blobs.list())
    if (!hash.includes('@') && Buffer.from((await fabric.blobs.get(hash))!).includes(marker)) found.push(`blob ${hash}`)
  return found
}

async function deploy(control: Control, text: string): Promise<void> {
  const stage = control.stage({ kind: 'program', id: 'vault' })
  try {
    const { hash, bytes } = await stage.put(Buffer.from(text))
    const modules = [{ name: 'a.js', kind: 'esm', blob: hash, bytes }] as const
    const code = { mainModule: 'a.js', modules, compatibilityDate: '2026-11-01', compatibilityFlags: [] }
    await control.upload(
      'vault',
      {
        code: { syntax: 'modules', ...code },
        bindings: [{ kind: 'secret', name: 'S', text }],
        ...{ keep: [], keepAssets: false, limits: {}, source: 'test' },
      },
      { deploy: true },
    )
  } finally {
    stage.release()
  }
}

const backend = () => ({
  ...{ kind: 'backend', name: 'o', createdAt: 1, modifiedAt: 1 },
  fields: { address: `${marker}.example.com` },
})
const isConflict = (thrown: unknown) => thrown instanceof Refusal && thrown.code === 'conflict'

test('drafts of services: edited, added and cloned behind a setting', async () => {
  const { shared, late, near, far } = await openTwo()
  const { id } = await near.services.create({ name: 'edge', comment: '' })
  await near.services.editParts(id, 1, () => ({ parts: [], result: undefined }))
  while (far.services.all()[0]?.versions[0]?.modifiedAt === undefined) await new Promise(setImmediate)
  await late.fallBehind()
  await near.setPlacement({ kind: 'service', id }, ['DE'])
  await near.services.editParts(id, 1, () => ({ parts: [backend()], result: undefined }))
  assert.deepEqual(await strays(shared), [])

  const edit = () => far.services.editParts(id, 1, (parts) => ({ parts: [...parts, backend()], result: parts.length }))
  await assert.rejects(edit(), isConflict)
  await assert.rejects(far.services.newVersion(id, ''), isConflict)
  await assert.rejects(far.services.cloneVersion(id, 1), isConflict)
  assert.deepEqual(await strays(shared), [])
  assert.equal((await near.services.parts(id, 1)).length, 1)

  late.catchUp()
  assert.equal((await far.services.cloneVersion(id, 1)).number, 2)
  assert.equal(await edit(), 1)
  assert.equal((await near.services.parts(id, 1)).length, 2)
  assert.deepEqual(await strays(shared), [])
})

test('code, secrets and files of programs uploaded behind a setting', async () => {
  const { shared, late, near, far } = await openTwo()
  await deploy(near, 'before')
  while (far.findProgram('vault') === undefined) await new Promise(setImmediate)
  const uploads = await createAssetUploads({
    ...{ fabric: late.fabric, seal, limits: defaultLimits, clock: () => 1000 },
    withinOf: far.withinOf,
    upToDate: far.upToDate,
  })
  const session = await uploads.open('vault', { '/a.txt': { hash: fileHash, size: marker.length } })
  const token = await uploads.authorize(session.jwt)
  await late.fallBehind()
  await near.setPlacement({ kind: 'program', id: 'vault' }, ['DE'])

  await assert.rejects(deploy(far, marker), isConflict)
  const change = { secrets: { MORE: marker }, source: 'test' }
  await assert.rejects(far.changeSecrets('vault', change, { deploy: true }), isConflict)
  const file = (async function* () {
    yield Buffer.from(marker)
  })()
  await assert.rejects(uploads.store(token, fileHash, undefined, file), isConflict)
  await assert.rejects(uploads.open('vault', { [`/${marker}`]: { hash: '1'.repeat(32), size: 1 } }), isConflict)
  assert.deepEqual(await strays(shared), [])

  late.catchUp()
  await deploy(far, marker)
  assert.deepEqual(await strays(shared), [])
  assert.equal(near.findProgram('vault')?.versions.length, 2)
  uploads.close()
})
