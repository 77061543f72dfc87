import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { Bucket, Fabric } from '#/core/ports.ts'
import { bytes, fabricContract, type OpenedFabric, until } from '../fabric.contract.ts'
import { openSqliteFabric } from '../sqlite/fabric.ts'
import { copiedBuckets, sharedBuckets } from './copied-buckets.ts'
import { type CopiedFabric, openCopiedFabric } from './fabric.ts'
import { openLateFabric } from './late-fabric.ts'

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'rimward-copied-'))
  t.after(() => rm(made, { recursive: true, force: true }))
  return made
}

const start = 1_800_000_000_000

async function openForContract(t: TestContext): Promise<OpenedFabric> {
  const root = await folder(t)
  let now = start
  const openSqlite = (name: string) =>
    openSqliteFabric({ folder: join(root, name), clock: () => now, limits: defaultLimits, report: () => {} })
  const [shared, copy] = [await openSqlite('shared'), await openSqlite('copy')]
  const fabric = await openCopiedFabric({ shared, copy, copies: () => true, report: () => {} })
  t.after(() => fabric.close())
  return {
    fabric,
    now: () => now,
    advance(ms) {
      now += ms
    },
    async damage(hash, position) {
      for (const name of ['shared', 'copy']) await flip(join(root, name, 'blobs', hash.slice(0, 2), hash), position)
    },
  }
}

async function flip(path: string, position: number): Promise<void> {
  const handle = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, position)
  byte[0]! ^= 1
  await handle.write(byte, 0, 1, position)
  await handle.close()
}

fabricContract('copied', openForContract)

/** A shared fabric whose line can be cut. */
function cuttable(inner: Fabric) {
  const listeners = new Set<(state: 'here' | 'away') => void>()
  let state: 'here' | 'away' = 'here'
  let failing = 0
  const check = () => {
    if (state === 'away') throw new EdgeError('fabric_away', 'cut')
  }
  const bucket = (name: string): Bucket => {
    const whole = inner.bucket(name)
    return {
      get: async (key) => {
        check()
        if (failing-- > 0) throw new EdgeError('fabric_away', 'not read in time')
        return whole.get(key)
      },
      put: async (key, value, how) => {
        check()
        return whole.put(key, value, how)
      },
      delete: async (key, how) => {
        check()
        return whole.delete(key, how)
      },
      list: async (wish) => {
        check()
        return whole.list(wish)
      },
      watch: (prefix, listener) => whole.watch(prefix, (change) => state === 'here' && listener(change)),
    }
  }
  const fabric: Fabric = {
    ...inner,
    bucket,
    blobs: {
      ...inner.blobs,
      put: async (source) => {
        check()
        return inner.blobs.put(source)
      },
      get: async (hash) => {
        check()
        return inner.blobs.get(hash)
      },
      stream: async (hash, range) => {
        check()
        return inner.blobs.stream(hash, range)
      },
      has: async (hash) => {
        check()
        return inner.blobs.has(hash)
      },
    },
    get state() {
      return state
    },
    onState(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close: async () => {},
  }
  return {
    fabric,
    set(next: 'here' | 'away') {
      state = next
      for (const listener of listeners) listener(next)
    },
    /** The next so many reads of a key fail, all the same. */
    failReads(count: number) {
      failing = count
    },
  }
}

async function openCopy(t: TestContext, shared: Fabric, root: string): Promise<CopiedFabric> {
  const copy = await openSqliteFabric({ folder: join(root, 'copy'), clock: Date.now, limits: defaultLimits })
  const fabric = await openCopiedFabric({ shared, copy, report: () => {} })
  t.after(() => fabric.close())
  return fabric
}

const textOf = async (bucket: Bucket, key: string) => {
  const entry = await bucket.get(key)
  return entry && Buffer.from(entry.value).toString()
}

test('while the shared one is away reads go on and writes are refused; afterwards the copy is the same again', async (t) => {
  const inner = createMemoryFabric(Date.now)
  const line = cuttable(inner)
  const fabric = await openCopy(t, line.fabric, await folder(t))
  const sites = fabric.bucket('sites')
  for (const key of ['stays', 'goes', 'changes']) await sites.put(key, bytes(`first ${key}`))
  const { hash } = await fabric.blobs.put(bytes('module'))
  const heard: string[] = []
  fabric.onState((state) => heard.push(state))

  line.set('away')
  assert.equal(fabric.state, 'away')
  assert.equal(await textOf(sites, 'stays'), 'first stays')
  assert.equal((await sites.list({ limit: 10 })).length, 3)
  assert.equal(Buffer.from((await fabric.blobs.get(hash))!).toString(), 'module')
  assert.equal(await fabric.blobs.has(hash), true)
  await assert.rejects(sites.put('new', bytes('x')), { code: 'fabric_away' })
  await assert.rejects(sites.delete('stays'), { code: 'fabric_away' })
  await assert.rejects(fabric.bucket('tails').get('x'), { code: 'fabric_away' })
  assert.equal(await textOf(sites, 'new'), undefined)

  await inner.bucket('sites').delete('goes')
  await inner.bucket('sites').put('changes', bytes('second'))
  await inner.bucket('sites').put('new', bytes('third'))
  line.set('here')
  while ((await textOf(sites, 'new')) === undefined || (await sites.get('goes')) !== undefined)
    await new Promise((resolve) => setImmediate(resolve))
  assert.equal(await textOf(sites, 'changes'), 'second')
  assert.equal(await textOf(sites, 'stays'), 'first stays')
  await until(() => heard.length === 2)
  assert.deepEqual(heard, ['away', 'here'])
  // Revisions are those of the shared bucket, so that what is expected holds there.
  const entry = (await sites.get('changes'))!
  assert.equal(entry.revision, (await inner.bucket('sites').get('changes'))!.revision)
  assert.ok(await sites.put('changes', bytes('fourth'), { expect: entry.revision }))
})

test('what is shared is here for writes before it answers what is read: asked again, the copy is here too', async (t) => {
  const inner = createMemoryFabric(Date.now)
  const line = cuttable(inner)
  const fabric = await openCopy(t, line.fabric, await folder(t))
  await fabric.bucket('platform').put('id', bytes('one'))
  line.set('away')
  await inner.bucket('platform').put('token', bytes('new'))
  line.failReads(1)
  line.set('here')
  await until(() => fabric.state === 'here')
  assert.equal(await textOf(fabric.bucket('platform'), 'token'), 'new')
})

test('two nodes: what one writes the other reads from its own copy; deletes and late news never win over newer writes', async (t) => {
  const inner = createMemoryFabric(Date.now)
  const root = await folder(t)
  const one = await openCopy(t, cuttable(inner).fabric, join(root, 'one'))
  const two = await openCopy(t, cuttable(inner).fabric, join(root, 'two'))
  const [a, b] = [one.bucket('programs'), two.bucket('programs')]
  for (let round = 0; round < 50; round++) {
    await a.put('k', bytes(`${round}`))
    assert.equal(await textOf(a, 'k'), `${round}`)
    if (round % 3 === 0) await b.delete('k')
    await b.put('k', bytes(`b${round}`))
    assert.equal(await textOf(b, 'k'), `b${round}`)
  }
  while ((await textOf(a, 'k')) !== 'b49') await new Promise((resolve) => setImmediate(resolve))
  await a.delete('k')
  while ((await b.get('k')) !== undefined) await new Promise((resolve) => setImmediate(resolve))
})

test('a node starts from its copy alone, and goes on when what is shared is reached at last', async (t) => {
  const inner = createMemoryFabric(Date.now)
  const root = await folder(t)
  const first = await openCopy(t, cuttable(inner).fabric, root)
  await first.bucket('sites').put('docs', bytes('v'))
  await first.close()
  let isReachable = false
  const shared = await openLateFabric({
    retryMs: 5,
    open: async () => {
      if (!isReachable) throw new EdgeError('fabric_away', 'no')
      return cuttable(inner).fabric
    },
  })
  const again = await openCopy(t, shared, root)
  assert.equal(again.state, 'away')
  assert.equal(await textOf(again.bucket('sites'), 'docs'), 'v')
  await inner.bucket('sites').put('later', bytes('w'))
  isReachable = true
  // It is not here before its copy says what is shared.
  while (again.state === 'away') await new Promise((resolve) => setTimeout(resolve, 1))
  assert.equal(await textOf(again.bucket('sites'), 'later'), 'w')
})

test('a shared fabric that was emptied does not empty the copy', async (t) => {
  const root = await folder(t)
  const first = await openCopy(t, cuttable(createMemoryFabric(Date.now)).fabric, root)
  await first.bucket('platform').put('id', bytes('mine'))
  await first.bucket('sites').put('docs', bytes('v'))
  await first.close()
  const emptied = createMemoryFabric(Date.now)
  const again = await openCopy(t, cuttable(emptied).fabric, root)
  assert.equal(again.state, 'away')
  assert.equal(await textOf(again.bucket('sites'), 'docs'), 'v')
  await assert.rejects(again.bucket('sites').put('x', bytes('y')), { code: 'fabric_away' })
  assert.equal(await emptied.bucket('sites').get('x'), undefined)
})

test('a blob that is damaged in the copy is fetched again; the copy is swept of what is shared no longer', async (t) => {
  const inner = createMemoryFabric(Date.now)
  const root = await folder(t)
  const fabric = await openCopy(t, cuttable(inner).fabric, root)
  const { hash } = await inner.blobs.put(bytes('module'.repeat(1000)))
  assert.equal((await fabric.blobs.get(hash))!.byteLength, 6000)
  await flip(join(root, 'copy', 'blobs', hash.slice(0, 2), hash), 100)
  assert.equal(Buffer.from((await fabric.blobs.get(hash))!).toString(), 'module'.repeat(1000))
  await inner.blobs.delete(hash)
  assert.equal(await fabric.sweepCopy(Date.now() + 60_000), 1)
  assert.equal(await fabric.blobs.get(hash), undefined)
})

test('every bucket of the sources is in one of the two tables', () => {
  const source = resolve(import.meta.dirname, '../..')
  const used = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !/test\.ts$|fixture|contract|^fabric|child/.test(path))
    .flatMap((path) => [...readFileSync(join(source, path), 'utf8').matchAll(/\bbucket\('([^']+)'/g)])
    .map(([, name]) => name!)
  const known = new Set([...Object.keys(copiedBuckets), ...Object.keys(sharedBuckets)])
  assert.deepEqual(
    [...new Set(used)].filter((name) => !known.has(name)),
    [],
  )
  assert.deepEqual(
    Object.keys(copiedBuckets).filter((name) => Object.hasOwn(sharedBuckets, name)),
    [],
  )
})

test('a bucket that stays in its countries is copied too, and asked for with them', async (t) => {
  const root = await folder(t)
  const inner = createMemoryFabric(() => start)
  const asked: unknown[] = []
  const shared = {
    ...inner,
    bucket(name: string, placement?: Parameters<Fabric['bucket']>[1]) {
      asked.push([name, placement])
      return inner.bucket(name)
    },
  }
  const copy = await openSqliteFabric({ folder: join(root, 'copy'), clock: () => start, limits: defaultLimits })
  const fabric = await openCopiedFabric({ shared, copy })
  t.after(() => fabric.close())
  const placed = fabric.bucket('item-stores@DE', { within: ['DE'] })
  await placed.put('k', bytes('v'))
  assert.deepEqual(asked.at(-1), ['item-stores@DE', { within: ['DE'] }])
  assert.ok(await copy.bucket('item-stores@DE').get('k'))
  await inner.bucket('item-stores@DE').delete('k')
  while ((await copy.bucket('item-stores@DE').get('k')) !== undefined) await turn()
  await fabric.clean!()
})
