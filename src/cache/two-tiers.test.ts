import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { bodyOf, headOf, type OpenStore, pattern, put, storeContract } from './store.contract.ts'
import type { CacheStore } from './store.ts'
import { storeFuzz } from './store-fuzz.contract.ts'
import { type CacheStoreOptions, createCacheStore } from './two-tiers.ts'

const memoryBytes = 4 * 1024 * 1024
const diskBytes = 24 * 1024 * 1024

async function openTiers(t: TestContext, more: Partial<CacheStoreOptions> = {}): Promise<CacheStore> {
  const folder = more.folder ?? (await mkdtemp(join(tmpdir(), 'rimward-cache-')))
  const log = (): void => {}
  const limits = defaultLimits
  const store = await createCacheStore({ folder, memoryBytes, diskBytes, limits, clock: Date.now, log, ...more })
  t.after(async () => {
    await store.close()
    await rm(folder, { recursive: true, force: true })
  })
  return store
}

const open: OpenStore = async (t) => ({ store: await openTiers(t), bytes: memoryBytes + diskBytes })

storeContract('two tiers', open)
storeFuzz('two tiers', open, 2000)

const atOnce = (found: ReturnType<CacheStore['find']>): boolean => Array.isArray(found)

test('find is at once for what memory has and for what is nowhere', async (t) => {
  const store = await openTiers(t)
  await put(store, headOf('a', { variant: 'gzip' }), pattern(1000))
  await put(store, headOf('a', { variant: 'br' }), pattern(1000))
  await put(store, headOf('large'), pattern(300_000))
  assert.ok(atOnce(store.find('a')))
  assert.ok(atOnce(store.find('large')))
  assert.ok(atOnce(store.find('nowhere')))
})

test('what memory gave up comes from disk, and comes up when it is asked for again', async (t) => {
  const store = await openTiers(t)
  await put(store, headOf('old'), pattern(1000))
  await put(store, headOf('large'), pattern(200_000))
  for (let i = 0; i < 4000; i++) await put(store, headOf(`k${i}`), pattern(2000, i))
  for (const [key, length] of [
    ['old', 1000],
    ['large', 200_000],
  ] as const) {
    const first = store.find(key)
    assert.ok(!atOnce(first), `${key} is on disk`)
    assert.ok(pattern(length).equals(await bodyOf((await first)[0]!)))
    // It comes up once it is written and was read in the background: asked until it is there.
    for (let round = 0; round < 100_000 && !atOnce(store.find(key)); round++) {
      await store.find(key)
      await new Promise(setImmediate)
    }
    const above = store.find(key)
    assert.ok(atOnce(above), `${key} came up`)
    assert.ok(pattern(length).equals((await above)[0]!.bytes()!))
  }
})

test('variants of one key in both tiers are found together', async (t) => {
  const store = await openTiers(t)
  await put(store, headOf('k', { variant: 'gzip' }), pattern(1000))
  for (let i = 0; i < 4000; i++) await put(store, headOf(`k${i}`), pattern(2000, i))
  await put(store, headOf('k', { variant: 'br' }), pattern(1000))
  const variants = (await store.find('k')).map(({ head }) => head.variant)
  assert.deepEqual(variants.sort(), ['br', 'gzip'])
})

test('what is too large for memory goes to disk, and replaces what memory has', async (t) => {
  const store = await openTiers(t)
  for (const expected of [2_000_000, undefined]) {
    await put(store, headOf('k'), pattern(10))
    const writer = store.open(headOf('k', { receivedAt: 9 }), expected)!
    for (let at = 0; at < 2_000_000; at += 100_000)
      assert.equal(await writer.write(pattern(2_000_000).subarray(at, at + 100_000)), true)
    assert.ok(await writer.finish())
    const found = await store.find('k')
    assert.equal(found.length, 1)
    assert.equal(found[0]!.bytes(), undefined)
    assert.ok(pattern(2_000_000).equals(await bodyOf(found[0]!)))
  }
})

test('a body that ends while its last bytes wait for the disk is whole', async (t) => {
  const store = await openTiers(t)
  const body = pattern(3_000_000)
  const writer = store.open(headOf('k'), undefined)!
  // Nobody waits for what a write promises, as at the end of a stream.
  for (let at = 0; at < body.length; at += 65_536) void writer.write(body.subarray(at, at + 65_536))
  await writer.finish()
  const [found] = await store.find('k')
  assert.equal(found?.bytes(), undefined, 'too large for memory')
  assert.ok(body.equals(await bodyOf(found!)))
})

test('warm again after a restart', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-cache-'))
  const first = await openTiers(t, { folder })
  for (let i = 0; i < 200; i++) await put(first, headOf(`k${i}`), pattern(i % 10 === 0 ? 200_000 : 500, i))
  await first.close()
  const second = await openTiers(t, { folder })
  for (let i = 0; i < 200; i++)
    assert.ok(pattern(i % 10 === 0 ? 200_000 : 500, i).equals(await bodyOf((await second.find(`k${i}`))[0]!)))
})

test('without a disk it is in memory only', async (t) => {
  const store = await openTiers(t, { diskBytes: 0 })
  await put(store, headOf('k'), pattern(10))
  assert.ok(atOnce(store.find('k')))
})

test('many at once: what was replaced or removed never comes back', async (t) => {
  const store = await openTiers(t)
  // Each key has one writer; readers look all the time and may see nothing older than what it finished or removed.
  const oldest = new Map<string, number>()
  const body = (key: number, stamp: number): Buffer =>
    pattern([100, 3000, 70_000, 250_000][(key + stamp) % 4]!, stamp * 7 + key)
  let seen = 0
  let running = 20
  async function write(key: number): Promise<void> {
    for (let stamp = 1; stamp <= 60; stamp++) {
      const head = headOf(`k${key}`, { receivedAt: stamp })
      const answer = await put(store, head, body(key, stamp), 100_000)
      oldest.set(head.key, stamp)
      await look(key)
      if (stamp % 5 === 0) {
        store.remove(answer)
        oldest.set(head.key, stamp + 1)
      }
      if (stamp % 7 === 0) {
        await store.removeWhere((other) => other.key === head.key)
        oldest.set(head.key, stamp + 1)
      }
      if (stamp % 3 === 0) await new Promise(setImmediate)
    }
  }
  async function look(key: number): Promise<void> {
    const least = oldest.get(`k${key}`) ?? 0
    for (const answer of await store.find(`k${key}`)) {
      const stamp = answer.head.receivedAt
      assert.ok(stamp >= least, `k${key}: ${stamp} found, ${least} was there before`)
      const bytes = await bodyOf(answer).catch(() => undefined)
      if (bytes !== undefined) assert.ok(body(key, stamp).equals(bytes), `k${key} ${stamp}`)
      seen++
    }
  }
  async function read(offset: number): Promise<void> {
    for (let i = offset; running > 0; i++) {
      await look(i % 20)
      await new Promise(setImmediate)
    }
  }
  const writers = Array.from({ length: 20 }, (_, key) => write(key).finally(() => running--))
  await Promise.all([...writers, ...Array.from({ length: 8 }, (_, reader) => read(reader * 3))])
  assert.ok(seen > 1000, `${seen} seen`)
})
