/** Where programs and services may be, and what goes there with them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Within } from '#/core/pops.ts'
import type { Fabric, Proof } from '#/core/ports.ts'
import type { Deployment, Snapshot } from '#/core/snapshot.ts'
import { type Control, createControl } from './control.ts'
import { createMemoryFabric } from './memory-fabric.fixture.ts'
import { Refusal } from './refusal.ts'
import type { ObjectHome } from './set-placement.ts'
import type { Upload } from './upload-version.ts'

const seal = {
  seal: (text: string) => `sealed ${Buffer.from(text).toString('hex')}`,
  open: (sealed: string) => Buffer.from(sealed.slice(7), 'hex').toString(),
}
const proven: Proof = {
  ok: true,
  startupMs: 1,
  exports: [
    { name: 'default', kind: 'handlers', handlers: ['fetch'] },
    { name: 'Room', kind: 'object', handlers: [] },
  ],
}
const inGermany: Within = ['DE']
const vault = { kind: 'program', id: 'vault' } as const

async function open(fabric: Fabric, homes: readonly ObjectHome[] = []) {
  const served: Snapshot[] = []
  const proved: Deployment[] = []
  const control = await createControl({
    fabric,
    homesOf: async () => homes,
    seal,
    engine: {
      async prove(_program, deployment) {
        proved.push(deployment)
        return proven
      },
      forget: async () => {},
    },
    limits: defaultLimits,
    clock: () => 1000,
    adopt: async (snapshot) => void served.push(snapshot),
  })
  return { control, served, proved }
}

async function deploy(control: Control, text: string, more: Partial<Upload> = {}): Promise<void> {
  const stage = control.stage(vault)
  const { hash, bytes } = await stage.put(Buffer.from(text))
  await control.upload(
    'vault',
    {
      code: {
        syntax: 'modules',
        mainModule: 'a.js',
        modules: [{ name: 'a.js', kind: 'esm', blob: hash, bytes }],
        compatibilityDate: '2026-11-01',
        compatibilityFlags: [],
      },
      bindings: [
        { kind: 'secret', name: 'S', text: 'the secret' },
        { kind: 'text', name: 'T', text: 'the text' },
        { kind: 'json', name: 'J', json: '{"the":"json"}' },
      ],
      keep: [],
      keepAssets: false,
      limits: {},
      source: 'test',
      ...more,
    },
    { deploy: true },
  )
  stage.release()
}

/** All that reaches every node: records, and blobs that may be anywhere. */
async function everywhere(fabric: Fabric): Promise<string> {
  const found: Uint8Array[] = []
  for (const name of ['control-log', 'programs', 'program-versions', 'services', 'service-versions'])
    for (const { value } of await fabric.bucket(name).list({ limit: 1000 })) found.push(value)
  for await (const { hash } of fabric.blobs.list())
    if (!hash.includes('@')) found.push((await fabric.blobs.get(hash)) ?? new Uint8Array(0))
  return Buffer.concat(found).toString('utf8')
}

const words = ['the code', 'the text', '{\\"the\\":\\"json\\"}', seal.seal('the secret')]
const wordsIn = (text: string) => words.filter((word) => text.includes(word))

test('records of a placed program name what stays where it is; widened it is as it was', async () => {
  const fabric = createMemoryFabric(() => 1000)
  const { control, proved } = await open(fabric)
  await control.setPlacement(vault, inGermany)
  await deploy(control, 'the code')
  assert.deepEqual(wordsIn(await everywhere(fabric)), [])
  const kinds = (deployment: Deployment) => deployment.bindings.map(({ kind, name }) => `${kind} ${name}`)
  assert.deepEqual(kinds(proved[0]!), ['held S', 'held T', 'held J'])
  assert.match(proved[0]!.code!.modules[0]!.blob, /^[0-9a-f]{64}@DE$/)
  // Its owner sees what it set, but no secret.
  const shown = (await control.version('vault')).bindings
  assert.deepEqual(
    shown.map(({ kind }) => kind),
    ['held', 'text', 'json'],
  )

  await control.changeSecrets('vault', { secrets: { MORE: 'the secret' }, source: 'test' }, { deploy: true })
  assert.deepEqual(wordsIn(await everywhere(fabric)), [])
  assert.deepEqual(kinds(proved.at(-1)!), ['held S', 'held T', 'held J', 'held MORE'])
  await assert.rejects(
    control.changeSecrets('vault', { secrets: { T: 'x' }, source: 'test' }, { deploy: true }),
    (thrown: Refusal) => thrown.code === 'name_twice',
  )

  await control.setPlacement(vault, undefined)
  assert.deepEqual(wordsIn(await everywhere(fabric)), words)
  for await (const { hash } of fabric.blobs.list()) assert.doesNotMatch(hash, /@/)
})

test('what a program had anywhere goes, in every version and in the log', async () => {
  const fabric = createMemoryFabric(() => 1000)
  const { control, served } = await open(fabric)
  await deploy(control, 'the code')
  await deploy(control, 'the code, once more')
  assert.deepEqual(wordsIn(await everywhere(fabric)), words)
  assert.equal(served.at(-1)!.erased, undefined)

  await control.setPlacement(vault, inGermany)
  assert.deepEqual(wordsIn(await everywhere(fabric)), [])
  assert.equal(served.at(-1)!.erased, 1000)
  for (const version of await control.versions('vault'))
    assert.match(Buffer.from((await control.readBlob(version.code!.modules[0]!.blob))!).toString(), /^the code/)
  // Whoever comes later reads the records.
  const again = await open(fabric)
  assert.deepEqual(again.control.problems, [])
  assert.deepEqual(again.control.snapshot.programs, control.snapshot.programs)
})

test('what a process that ended early has not moved is moved by the next', async () => {
  const fabric = createMemoryFabric(() => 1000)
  const { control } = await open(fabric)
  await deploy(control, 'the code')
  // Ends when the records of versions are to be written.
  const versions = fabric.bucket('program-versions')
  const { put } = versions
  const bucket = versions as { put: typeof put }
  bucket.put = async (...given) => {
    if (given[2]?.expect === undefined) throw new Error('the process ends here')
    return put(...given)
  }
  await assert.rejects(control.setPlacement(vault, inGermany), /ends here/)
  bucket.put = put
  assert.notDeepEqual(wordsIn(await everywhere(fabric)), [])

  const again = await open(fabric)
  await again.control.close()
  assert.deepEqual(wordsIn(await everywhere(fabric)), [])
  assert.deepEqual(again.control.snapshot.programs.get('vault')?.within, inGermany)
})

test('where it cannot be taken along the setting is refused, and nothing has changed', async () => {
  const fabric = createMemoryFabric(() => 1000)
  const { put } = fabric.blobs
  Object.assign(fabric.blobs, {
    put: async (...given: Parameters<typeof put>) => {
      if (given[1]?.within !== undefined) throw new EdgeError('not_here', 'no node is there')
      return put(...given)
    },
  })
  const { control } = await open(fabric)
  await deploy(control, 'the code')
  await assert.rejects(control.setPlacement(vault, ['JP']), (thrown: Refusal) => {
    assert.ok(thrown instanceof Refusal)
    assert.match(thrown.message, /'vault' has code or secrets that have to move to JP.*API of a node/)
    return thrown.code === 'misplaced'
  })
  assert.deepEqual(control.placements(), [])
  assert.equal(control.snapshot.programs.get('vault')?.within, undefined)
  assert.deepEqual(wordsIn(await everywhere(fabric)), words)
})

test('the package of a service goes with it, in versions and in what is active', async () => {
  const fabric = createMemoryFabric(() => 1000)
  const { control } = await open(fabric)
  const { services } = control
  const { id } = await services.create({ name: 'edge', comment: '', kind: 'compute' })
  const service = { kind: 'service', id } as const
  const stage = control.stage(service)
  const { hash, bytes } = await stage.put(Buffer.from('the code'))
  stage.release()
  const part = { kind: 'package', name: '', createdAt: 1, modifiedAt: 1, fields: { module: hash }, blobs: [hash] }
  await services.editParts(id, 1, () => ({ parts: [part], result: undefined }))
  const design = { hostnames: [], bytes, backends: [], stores: [], logs: [], tables: {} }
  await services.activateProgram(id, 1, (parts) => ({ ...design, module: String(parts[0]!.fields.module) }))
  assert.deepEqual(wordsIn(await everywhere(fabric)), ['the code'])

  await control.setPlacement(service, inGermany)
  assert.deepEqual(wordsIn(await everywhere(fabric)), [])
  const [moved] = await services.parts(id, 1)
  assert.match(moved!.blobs![0]!, /@DE$/)
  assert.equal(moved!.fields.module, moved!.blobs![0])
  const { rollout, within } = control.snapshot.programs.get('edge')!
  assert.deepEqual([rollout[0]!.deployment.compute?.module, within], [moved!.blobs![0], inGermany])
})

test('a program whose objects live elsewhere is not restricted, and says where they are', async () => {
  const fabric = createMemoryFabric(() => 1000)
  const homes = [
    { node: 'fra', country: 'DE', objects: 2 },
    { node: 'iad', country: 'US', objects: 3 },
  ]
  const { control } = await open(fabric, homes)
  await deploy(control, 'the code', { declaredObjects: { Room: { state: 'created', storage: 'sqlite' } } })
  await assert.rejects(control.setPlacement(vault, inGermany), (thrown: Refusal) => {
    assert.match(thrown.message, /class 'Room' of 'vault' live outside of DE and cannot move: 3 at iad \(US\)/)
    return thrown.code === 'misplaced'
  })
  await control.setPlacement(vault, ['DE', 'US'])
  assert.deepEqual(control.snapshot.programs.get('vault')?.objects[0]?.within, ['DE', 'US'])
})

test('a store that lives elsewhere is not restricted, and says where it is', async () => {
  const fabric = createMemoryFabric(() => 1000)
  const { control } = await open(fabric, [{ node: 'iad', country: 'US', objects: 1 }])
  const { id } = await control.createResource({ kind: 'sql', name: 'shop' })
  await assert.rejects(control.setPlacement({ kind: 'sql', id }, inGermany), (thrown: Refusal) => {
    assert.match(thrown.message, /sql 'shop' lives at iad \(US\), outside of DE, and cannot move/)
    return thrown.code === 'misplaced'
  })
  assert.deepEqual(control.placements(), [])
  await control.setPlacement({ kind: 'sql', id }, ['DE', 'US'])
  assert.deepEqual(control.snapshot.placements?.get(id), ['DE', 'US'])
})

test('a program whose workflow lives elsewhere is not restricted', async () => {
  const { control } = await open(
    createMemoryFabric(() => 1000),
    [{ node: 'iad', country: 'US', objects: 1 }],
  )
  await deploy(control, 'the code')
  await control.setPlacement(vault, inGermany)
  await control.setPlacement(vault, undefined)
  await control.createResource({ kind: 'workflow', name: 'steps', settings: { program: 'vault', className: 'Steps' } })
  await assert.rejects(control.setPlacement(vault, inGermany), (thrown: Refusal) => {
    assert.match(thrown.message, /workflow 'steps' lives at iad \(US\), outside of DE/)
    return thrown.code === 'misplaced'
  })
})
