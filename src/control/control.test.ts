/** The control plane on its own: what lasts, what a failure leaves behind, who comes first. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { Bucket, Engine, Fabric, Proof } from '#/core/ports.ts'
import type { ObjectNamespace, Snapshot } from '#/core/snapshot.ts'
import { type Control, createControl } from './control.ts'
import { createMemoryFabric } from './memory-fabric.fixture.ts'
import { Refusal, type RefusalCode } from './refusal.ts'
import type { Upload } from './upload-version.ts'

let now = 1_000_000
const seal = { seal: (text: string) => `#${Buffer.from(text).toString('hex')}`, open: (sealed: string) => sealed }

interface Options {
  readonly fabric?: Fabric
  readonly limits?: Partial<Limits>
  readonly adopt?: (snapshot: Snapshot) => Promise<void>
  readonly prove?: Engine['prove']
}

const proven: Proof = { ok: true, startupMs: 1, exports: [{ name: 'default', kind: 'handlers', handlers: ['fetch'] }] }

async function open({ fabric = createMemoryFabric(() => now), limits, adopt, prove }: Options = {}) {
  const forgotten: ObjectNamespace[] = []
  const engine = {
    prove: prove ?? (async () => proven),
    forget: async (objects: readonly ObjectNamespace[]) => {
      forgotten.push(...objects)
    },
  }
  const control = await createControl({
    fabric,
    seal,
    engine,
    limits: { ...defaultLimits, ...limits },
    clock: () => now,
    adopt: adopt ?? (async () => {}),
  })
  return { control, fabric, forgotten }
}

async function upload(control: Control, text = 'export default {}', more: Partial<Upload> = {}): Promise<Upload> {
  const { hash, bytes } = await control.stage({ kind: 'program', id: 'shop' }).put(Buffer.from(text))
  return {
    code: {
      syntax: 'modules',
      mainModule: 'index.js',
      modules: [{ name: 'index.js', kind: 'esm', blob: hash, bytes }],
      compatibilityDate: '2026-11-01',
      compatibilityFlags: [],
    },
    bindings: [],
    keep: [],
    keepAssets: false,
    limits: {},
    source: 'test',
    ...more,
  }
}

const refusedAs = (code: RefusalCode) => (error: unknown) => error instanceof Refusal && error.code === code
const deploy = { deploy: true }

test('what was acknowledged is there after a restart, with the same Snapshot', async () => {
  const first = await open()
  await first.control.upload('shop', await upload(first.control), deploy)
  await first.control.changeProgram('shop', {
    local: true,
    routes: ['Example.com/app/*'],
    hostnames: ['SHOP.example.com.'],
  })
  await first.control.siteAdd({ name: 'docs', origin: 'https://origin.test/docs', hosts: ['*.docs.test'] })
  const second = await open({ fabric: first.fabric })
  assert.deepEqual(second.control.snapshot, first.control.snapshot)
  assert.equal(second.control.snapshot.revision, 3)
  assert.deepEqual(
    [...second.control.snapshot.sites],
    [
      {
        name: 'shop',
        hostnames: ['shop.localhost', 'shop.example.com'],
        routes: ['example.com/app/*'],
        target: { kind: 'program', program: 'shop' },
      },
      {
        name: 'docs',
        hostnames: ['docs.localhost', '*.docs.test'],
        routes: [],
        target: {
          kind: 'origin',
          url: 'https://origin.test/docs',
          pool: {
            origins: [{ name: 'origin.test', url: 'https://origin.test/docs', weight: 100 }],
            choice: 'weighted-random',
          },
        },
      },
    ],
  )
})

test('a record that does not parse is reported and left out; the others serve', async () => {
  const { control, fabric } = await open()
  await control.upload('good', await upload(control), deploy)
  await control.upload('mended', await upload(control), deploy)
  await control.close()
  await fabric.bucket('programs').put('mended', Buffer.from('{"name":"mended"}'))
  await fabric.bucket('programs').put('bad', Buffer.from('{"name":"bad"}'))
  await fabric.bucket('programs').put('ugly', Buffer.from('\xff\x00', 'latin1'))
  const again = await open({ fabric })
  // What the log of changes still tells is repaired from it.
  assert.deepEqual([...again.control.snapshot.programs.keys()], ['good', 'mended'])
  assert.equal(again.control.problems.length, 2)
  assert.match(again.control.problems.join('\n'), /program 'bad' is left out/)
  await assert.rejects(again.control.upload('bad', await upload(again.control), deploy), refusedAs('conflict'))
})

test('a Snapshot that is not adopted changes nothing', async () => {
  let broken = false
  const { control, fabric } = await open({
    adopt: async () => {
      if (broken) throw new Error('no cell')
    },
  })
  await control.upload('shop', await upload(control), deploy)
  const { snapshot } = control
  broken = true
  await assert.rejects(control.upload('shop', await upload(control, 'export default {a: 1}'), deploy), /no cell/)
  await assert.rejects(control.removeProgram('shop', { force: true }), /no cell/)
  assert.equal(control.snapshot, snapshot)
  const again = await open({ fabric })
  assert.deepEqual(again.control.snapshot, snapshot)
  assert.equal((await fabric.bucket('program-versions').list({ limit: 10 })).length, 1)
})

test('a write that fails brings the Snapshot before back', async () => {
  const adopted: number[] = []
  let isFull = false
  const memory = createMemoryFabric(() => now)
  const log: Bucket = {
    ...memory.bucket('control-log'),
    put: async (...args) => {
      if (isFull) throw new Error('no space')
      return memory.bucket('control-log').put(...args)
    },
  }
  const { control } = await open({
    fabric: { ...memory, bucket: (name) => (name === 'control-log' ? log : memory.bucket(name)) },
    adopt: async ({ revision }) => {
      adopted.push(revision)
    },
  })
  await control.upload('shop', await upload(control), deploy)
  isFull = true
  await assert.rejects(control.upload('shop', await upload(control), deploy), /no space/)
  assert.deepEqual(adopted, [0, 1, 2, 1])
  isFull = false
  await control.upload('shop', await upload(control), deploy)
  assert.equal(control.snapshot.revision, 2)
  assert.equal((await control.versions('shop')).length, 2)
})

test('a program that does not start leaves nothing behind', async () => {
  const failed: Proof = { ok: false, message: 'Uncaught Error: no', module: 'index.js', line: 3, column: 7 }
  const { control, fabric } = await open({ prove: async () => failed })
  await assert.rejects(
    control.upload('shop', await upload(control), deploy),
    (error) => refusedAs('does_not_start')(error) && /no\n {4}at index\.js:3:7/.test((error as Error).message),
  )
  assert.deepEqual(control.programs(), [])
  assert.equal((await fabric.bucket('program-versions').list({ limit: 10 })).length, 0)
})

test('a missing class is named even by an engine that does not start without it', async () => {
  const { control } = await open({
    prove: async (program) => (program.objects.length > 0 ? { ok: false, message: 'no class' } : proven),
  })
  const wanted = step({ newSqliteClasses: ['Counter'] })
  await assert.rejects(
    control.upload('shop', await upload(control, '', wanted), deploy),
    refusedAs('class_not_exported'),
  )
})

test('fifty deploys at once make one line of Snapshots', async () => {
  const revisions: number[] = []
  const { control } = await open({
    adopt: async ({ revision }) => {
      revisions.push(revision)
    },
  })
  const body = await upload(control)
  await Promise.all(Array.from({ length: 50 }, (_, index) => control.upload(`p${index % 5}`, body, deploy)))
  assert.deepEqual(
    revisions,
    Array.from({ length: 51 }, (_, index) => index),
  )
  assert.deepEqual(
    [...control.snapshot.programs.values()].map(({ rollout }) => rollout[0]!.deployment.number),
    Array(5).fill(10),
  )
})

test('old versions fall off, those that serve stay, and their blobs are swept after the grace', async () => {
  const { control, fabric } = await open({ limits: { versionsPerProgram: 3 } })
  await control.upload('shop', await upload(control, 'export default 0'), deploy)
  for (let index = 1; index <= 5; index += 1)
    await control.upload('shop', await upload(control, `export default ${index}`), { deploy: false })
  assert.deepEqual(
    (await control.versions('shop')).map(({ number }) => number),
    [6, 5, 4, 1],
  )
  const nobody = async function* () {}
  assert.equal((await control.sweep(nobody)).removed, 0, 'all are young')
  const again = await open({ fabric, limits: { versionsPerProgram: 3 } })
  now += defaultLimits.blobGraceMs
  assert.equal((await again.control.sweep(nobody)).removed, 2)
  for (const version of await again.control.versions('shop'))
    assert.ok(await fabric.blobs.has(version.code!.modules[0]!.blob))
})

test('the sweep leaves uploads in flight and what others name', async () => {
  const { control, fabric } = await open()
  const stage = control.stage({ kind: 'program', id: 'shop' })
  const staged = await stage.put(Buffer.from('in flight'))
  const kept = await fabric.blobs.put(Buffer.from('a large value'))
  const lost = await fabric.blobs.put(Buffer.from('nobody'))
  now += defaultLimits.blobGraceMs
  const others = async function* () {
    yield kept.hash
  }
  assert.deepEqual(await control.sweep(others), { removed: 1, bytes: 6 })
  assert.equal(await fabric.blobs.has(lost.hash), false)
  stage.release()
  assert.equal((await control.sweep(others)).removed, 1)
  assert.equal(await fabric.blobs.has(staged.hash), false)
})

test('an address belongs to one program or site', async () => {
  const { control } = await open()
  for (const name of ['one', 'two']) await control.upload(name, await upload(control), deploy)
  await control.changeProgram('one', { routes: ['a.test/*'], hostnames: ['b.test'] })
  await assert.rejects(control.changeProgram('two', { routes: ['a.test/*'] }), refusedAs('address_taken'))
  await assert.rejects(control.changeProgram('two', { hostnames: ['b.test'] }), refusedAs('address_taken'))
  await assert.rejects(
    control.siteAdd({ name: 'x', origin: 'http://o.test', hosts: ['b.test'] }),
    refusedAs('address_taken'),
  )
  await assert.rejects(control.siteAdd({ name: 'one', origin: 'http://o.test', hosts: [] }), refusedAs('address_taken'))
  await control.changeProgram('two', { hostnames: ['b.test'], takeOver: true })
  assert.deepEqual(control.program('one').hostnames, [])
  assert.deepEqual(control.program('two').hostnames, ['b.test'])
})

const counterOnly = async (): Promise<Proof> => ({
  ok: true,
  startupMs: 1,
  exports: [{ name: 'Counter', kind: 'object', handlers: [] }],
})
const noStep = { newClasses: [], newSqliteClasses: [], renamedClasses: [], deletedClasses: [], transferredClasses: [] }
const step = (more: object) => ({ migrations: { newTag: 'v1', steps: [{ ...noStep, ...more }] } })

test('a class changes hands with its data, also when the process ended halfway', async () => {
  const { control, fabric } = await open({ prove: counterOnly })
  await control.upload('giver', await upload(control, '', step({ newSqliteClasses: ['Counter'] })), deploy)
  const [object] = control.program('giver').objects
  const halfway = await fabric.bucket('programs').get('giver')
  now += 1
  const wanted = step({ transferredClasses: [{ from: 'Counter', program: 'giver', to: 'Counter' }] })
  await control.upload('taker', await upload(control, '', wanted), deploy)
  assert.deepEqual(control.program('giver').objects, [])
  assert.deepEqual(control.program('taker').objects, [object])
  await fabric.bucket('programs').put('giver', halfway!.value)
  const again = await open({ fabric })
  assert.deepEqual(again.control.program('giver').objects, [])
  assert.deepEqual(again.control.program('taker').objects, [object])
})

test('data of classes is removed even when the process ended in between', async () => {
  const { control, fabric } = await open({ prove: counterOnly })
  await control.upload('shop', await upload(control, '', step({ newSqliteClasses: ['Counter'] })), deploy)
  const [object] = control.snapshot.programs.get('shop')!.objects
  await fabric.bucket('objects-to-forget').put(object!.key, Buffer.from(JSON.stringify(object)))
  const stale = await open({ fabric })
  assert.deepEqual(stale.forgotten, [], 'a note about a class that lives is dropped')
  await fabric.bucket('objects-to-forget').put('gone', Buffer.from(JSON.stringify({ ...object, key: 'gone' })))
  const after = await open({ fabric })
  assert.deepEqual(
    after.forgotten.map(({ key }) => key),
    ['gone'],
  )
})
