/** Several control planes on one fabric: of two that change something at once one comes first, and nobody's change is lost. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Control, type ControlDeps, createControl } from '#/control/control.ts'
import { Refusal } from '#/control/refusal.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { Bucket, Fabric } from '#/core/ports.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { openSqliteFabric } from '#/fabric/sqlite/fabric.ts'
import { type RunningNode, startNode, temporaryFolder, until } from './support/node.ts'

type Open = (t: TestContext) => Promise<Fabric>

const fabrics: readonly [string, Open][] = [
  ['memory', async () => createMemoryFabric(Date.now)],
  [
    'sqlite',
    async (t) => {
      const folder = await temporaryFolder(t, 'planes')
      const fabric = await openSqliteFabric({ folder: join(folder, 'fabric'), clock: Date.now, limits: defaultLimits })
      t.after(() => fabric.close())
      return fabric
    },
  ],
]

interface Plane {
  readonly control: Control
  /** Revisions as the data plane was given them. */
  readonly served: Snapshot[]
}

async function openPlane(t: TestContext, fabric: Fabric, more: Partial<ControlDeps> = {}): Promise<Plane> {
  const served: Snapshot[] = []
  const control = await createControl({
    fabric,
    seal: { seal: (text) => text, open: (text) => text },
    engine: {
      prove: async () => ({
        ok: true,
        startupMs: 1,
        exports: [{ name: 'default', kind: 'handlers', handlers: ['fetch'] }],
      }),
      forget: async () => {},
    },
    limits: defaultLimits,
    clock: Date.now,
    adopt: async (snapshot) => void served.push(snapshot),
    log: (message, error) => t.diagnostic(`${message}: ${error}`),
    ...more,
  })
  t.after(() => control.close())
  return { control, served }
}

const limited = (limits: Partial<Limits>) => ({ limits: { ...defaultLimits, ...limits } })
const names = ({ control }: Plane) => [...control.snapshot.sites].map(({ name }) => name).sort()

async function deploy({ control }: Plane, name: string, text: string) {
  const { hash, bytes } = await control.stage({ kind: 'program', id: name }).put(Buffer.from(text))
  return control.upload(
    name,
    {
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
    },
    { deploy: true },
  )
}

const addSite = ({ control }: Plane, name: string, hosts: readonly string[] = []) =>
  control.siteAdd({ name, origin: `https://${name}.test`, hosts })

/** All have folded in the same changes. */
async function settled(...planes: readonly Plane[]): Promise<void> {
  await until(
    () => new Set(planes.map(({ control }) => control.snapshot.revision)).size === 1,
    'one revision everywhere',
  )
}

for (const [kind, openFabric] of fabrics) {
  test(`${kind}: what two control planes change at once is all there, in one order`, async (t) => {
    const fabric = await openFabric(t)
    const [one, two] = [await openPlane(t, fabric, { by: 'one' }), await openPlane(t, fabric, { by: 'two' })]
    const wanted = Array.from({ length: 20 }, (_, index) => `site-${index}`)
    await Promise.all(wanted.map((name, index) => addSite(index % 2 === 0 ? one : two, name)))
    await settled(one, two)
    assert.deepEqual(names(one), wanted.toSorted())
    assert.deepEqual(names(two), wanted.toSorted())
    assert.equal(one.control.snapshot.revision, wanted.length)
    const log = await fabric.bucket('control-log').list({ limit: 100 })
    assert.deepEqual(
      log.map(({ key }) => key),
      wanted.map((_, index) => String(index + 1).padStart(16, '0')),
    )
    // The data plane behind each ends on the last one.
    for (const plane of [one, two]) assert.equal(plane.served.at(-1)!.revision, wanted.length)
    const three = await openPlane(t, fabric)
    assert.deepEqual(names(three), wanted.toSorted())
  })

  test(`${kind}: changes of one program from two sides at once are merged, not lost`, async (t) => {
    const fabric = await openFabric(t)
    const [one, two] = [await openPlane(t, fabric), await openPlane(t, fabric)]
    await Promise.all([deploy(one, 'shop', 'export default 1'), deploy(two, 'shop', 'export default 2')])
    await settled(one, two)
    assert.deepEqual((await one.control.versions('shop')).map(({ number }) => number).sort(), [1, 2])
    for (let round = 0; round < 10; round++) {
      await Promise.all([
        one.control.changeProgram('shop', { routes: [`example.com/${round}/*`] }),
        two.control.changeProgram('shop', { tags: [`round-${round}`] }),
        deploy(round % 2 === 0 ? one : two, 'shop', `export default ${round}`),
      ])
      await settled(one, two)
      for (const { control } of [one, two]) {
        const { routes, tags } = control.program('shop')
        assert.deepEqual({ routes, tags }, { routes: [`example.com/${round}/*`], tags: [`round-${round}`] })
      }
    }
    assert.equal(two.control.program('shop').versions.length, 12)
    assert.equal(new Set((await two.control.versions('shop')).map(({ number }) => number)).size, 12)
  })

  test(`${kind}: an address goes to one of two; services, tables and rules of domains are seen elsewhere`, async (t) => {
    const fabric = await openFabric(t)
    const [one, two] = [await openPlane(t, fabric), await openPlane(t, fabric)]
    const both = await Promise.allSettled([addSite(one, 'left', ['shop.test']), addSite(two, 'right', ['shop.test'])])
    const refused = both.filter((outcome) => outcome.status === 'rejected')
    assert.equal(refused.length, 1)
    assert.equal((refused[0]!.reason as Refusal).code, 'address_taken')

    const { id } = await one.control.services.create({ name: 'Front', comment: '' })
    await until(() => two.control.services.all().length === 1, 'the service is known to the other')
    const table = await two.control.services.createTable(id, 'texts')
    const part = (name: string) => ({ kind: 'origin', name, createdAt: 1, modifiedAt: 1, fields: {} })
    const add = ({ control }: Plane, name: string) =>
      control.services.editParts(id, 1, (parts) => ({ parts: [...parts, part(name)], result: undefined }))
    await add(one, 'a')
    await Promise.all([one.control.services.cloneVersion(id, 1), two.control.services.cloneVersion(id, 1)])
    await one.control.setDomainRules('example.com', { view: '{}', rules: [] })
    await until(() => two.control.domainRules().length === 1, 'the rules are known to the other')
    for (const { control } of [one, two]) {
      assert.deepEqual(control.services.texts(id, table).entries, [])
      const versions = control.services.service(id).versions.map(({ number }) => number)
      assert.equal(versions.length, 3)
      for (const number of versions)
        assert.deepEqual(
          (await control.services.parts(id, number)).map(({ name }) => name),
          ['a'],
        )
    }
  })

  test(`${kind}: what the records lack is repaired from the log at the next start`, async (t) => {
    const fabric = await openFabric(t)
    const lossy: Fabric = {
      ...fabric,
      blobs: fabric.blobs,
      onState: fabric.onState,
      bucket(name) {
        const bucket = fabric.bucket(name)
        if (name !== 'sites' && name !== 'programs') return bucket
        const fails = async () => Promise.reject(new Error('the process ended'))
        return { ...bucket, get: bucket.get, list: bucket.list, watch: bucket.watch, put: fails, delete: fails }
      },
    }
    const one = await openPlane(t, lossy)
    await addSite(one, 'docs')
    await deploy(one, 'shop', 'export default 1')
    await one.control.close()
    assert.equal((await fabric.bucket('sites').list({ limit: 10 })).length, 0)
    const two = await openPlane(t, fabric)
    assert.deepEqual(two.control.snapshot, one.control.snapshot)
    await two.control.close()
    assert.equal((await fabric.bucket('sites').list({ limit: 10 })).length, 1)
    assert.equal((await fabric.bucket('programs').list({ limit: 10 })).length, 1)
  })

  test(`${kind}: the log is cut; who slept meanwhile neither loses nor undoes anything`, async (t) => {
    const fabric = await openFabric(t)
    const cut = limited({ controlLogEntries: 8 })
    const awake = await openPlane(t, fabric, cut)
    const deaf: Fabric = {
      ...fabric,
      onState: fabric.onState,
      blobs: fabric.blobs,
      bucket: (name) => withoutWatch(fabric.bucket(name)),
    }
    const asleep = await openPlane(t, deaf, cut)
    for (let index = 0; index < 40; index++) await addSite(awake, `site-${index}`)
    await awake.control.siteRemove('site-7')
    await until(async () => (await fabric.bucket('control-log').list({ limit: 100 })).length <= 8, 'the log is cut')
    assert.deepEqual(names(asleep), [])
    // It writes into a place that was cut away: it must end up after all others instead.
    await addSite(asleep, 'late')
    await settled(awake, asleep)
    assert.equal(names(asleep).length, 40)
    assert.deepEqual(names(asleep), names(awake))
    assert.ok(!names(asleep).includes('site-7'))
    const fresh = await openPlane(t, fabric, cut)
    assert.deepEqual(names(fresh), names(awake))
    assert.equal(fresh.control.snapshot.revision, 42)
  })

  test(`${kind}: a change larger than an entry may be lies in a blob, and outlives a sweep`, async (t) => {
    const fabric = await openFabric(t)
    const small = limited({ controlEntryBytes: 500, blobGraceMs: 0 })
    const one = await openPlane(t, fabric, small)
    await addSite(
      one,
      'large',
      Array.from({ length: 50 }, (_, index) => `host-${index}.example.com`),
    )
    await one.control.sweep(async function* () {})
    assert.deepEqual((await openPlane(t, fabric, small)).control.snapshot, one.control.snapshot)
  })
}

test('a Snapshot that is too large is refused before it is committed', async (t) => {
  const fabric = createMemoryFabric(Date.now)
  const one = await openPlane(t, fabric, limited({ snapshotSites: 2 }))
  await addSite(one, 'a')
  await addSite(one, 'b')
  await assert.rejects(addSite(one, 'c'), (error) => error instanceof Refusal && error.code === 'too_many')
  assert.equal(one.served.at(-1)!.revision, 2)
  assert.equal((await fabric.bucket('control-log').list({ limit: 10 })).length, 2)
  await one.control.siteRemove('a')
  await addSite(one, 'c')
})

function withoutWatch(bucket: Bucket): Bucket {
  return {
    ...bucket,
    get: bucket.get,
    put: bucket.put,
    list: bucket.list,
    delete: bucket.delete,
    watch: () => () => {},
  }
}

test('an entry that a newer release wrote is named; what was before it goes on, and nothing is changed past it', async (t) => {
  const fabric = createMemoryFabric(Date.now)
  const one = await openPlane(t, fabric)
  await one.control.siteAdd({ name: 'shop', origin: 'https://shop.test', hosts: [] })
  const log = fabric.bucket('control-log')
  const [last] = (await log.list({ limit: 10 })).slice(-1)
  const { id } = JSON.parse(Buffer.from(last!.value).toString())
  const head = { previous: id, at: 1, by: 'newer', quiet: false }
  const unknown = { ...head, id: 'x', change: { sites: [{ name: 'docs', record: { shape: 'of next year' } }] } }
  const next = String(Number(last!.key) + 1).padStart(16, '0')
  await log.put(next, Buffer.from(JSON.stringify(unknown)), { expect: 0 })

  const add = (plane: Plane) => plane.control.siteAdd({ name: 'more', origin: 'https://more.test', hosts: [] })
  const isNamed = (error: Error) => /entry 2 of the log.*cannot be read.*newer release/s.test(error.message)
  await until(() => one.control.stuck !== undefined, 'the entry was found')
  await assert.rejects(add(one), isNamed)
  assert.deepEqual(names(one), ['shop'])

  const partial: unknown[] = []
  const two = await openPlane(t, fabric, { follow: async (_snapshot, how) => void partial.push(how) })
  assert.deepEqual([names(two), partial], [['shop'], [{ isPartial: true }]])
  assert.match(two.control.stuck ?? '', /entry 2 /)
  assert.match(two.control.problems.join(), /entry 2 /)
  await assert.rejects(add(two), isNamed)
  assert.equal((await log.list({ limit: 10 })).length, 2)

  // The newer release has written the records, and the log was cut: these say what is.
  const known = { ...head, id: 'y', previous: 'x', change: { sites: [{ name: 'shop', record: null }] } }
  await log.put(String(3).padStart(16, '0'), Buffer.from(JSON.stringify(known)), { expect: 0 })
  await fabric.bucket('sites').delete('shop')
  await log.delete(String(1).padStart(16, '0'))
  await log.delete(next)
  const three = await openPlane(t, fabric)
  assert.deepEqual([three.control.stuck, names(three)], [undefined, []])
  await add(three)
})

test('/readyz and the API of a node say which change it cannot read; it serves what was before, also after a start', async (t) => {
  const data = await temporaryFolder(t, 'changes')
  const add = (to: RunningNode, name: string) =>
    to.api('/rimward/v1/sites', { method: 'POST', body: JSON.stringify({ name, origin: 'https://origin.test' }) })
  const changesOf = async (of: RunningNode) => {
    const answer = await of.api('/readyz')
    const { checks } = (await answer.json()) as { checks: { name: string; ready: boolean; reason?: string }[] }
    return { status: answer.status, check: checks.find(({ name }) => name === 'changes') }
  }
  const node = await startNode(t, { data })
  assert.equal((await add(node, 'first')).status, 201)
  assert.deepEqual(await changesOf(node), { status: 200, check: undefined })
  assert.equal(await node.stop(), 0)

  const fabric = await openSqliteFabric({ folder: join(data, 'fabric'), clock: Date.now, limits: defaultLimits })
  const log = fabric.bucket('control-log')
  const [last] = (await log.list({ limit: 100, keysOnly: true })).slice(-1)
  const entry = String(Number(last!.key) + 1).padStart(16, '0')
  await log.put(entry, Buffer.from('{"of":"a newer release"}'), { expect: 0 })
  await fabric.close()

  const again = await startNode(t, { data })
  const { status, check } = await changesOf(again)
  assert.deepEqual([status, check?.ready], [200, true])
  assert.match(check!.reason!, new RegExp(`later ones are not followed: entry ${Number(entry)} of the log`))
  assert.notEqual((await again.get('first.localhost', '/')).status, 404)
  const refused = await add(again, 'second')
  assert.equal(refused.status, 400)
  assert.match(await refused.text(), /cannot change the platform.*newer release/s)
})
