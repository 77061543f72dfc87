import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import type { PurgeWish } from '#/core/cache-policy.ts'
import type { CoreCacheKey, CoreCacheObject, CoreCacheWrite } from '#/core/core-cache.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createCoreCache } from './core-cache.ts'
import type { Arriving } from './flight.ts'
import { createPurges } from './purges.ts'
import { createSimpleStore } from './simple-store.ts'

/** `gate`: nothing is in the store before it opens. */
function open(gate?: Promise<void>) {
  let now = 1_000_000
  const clock = () => now
  const simple = createSimpleStore({ limitBytes: 1024 * 1024 })
  const store: typeof simple = {
    ...simple,
    open(...about) {
      const writer = simple.open(...about)
      return writer && { ...writer, finish: () => Promise.resolve(gate).then(() => writer.finish()) }
    },
  }
  const purges = createPurges(1)
  const arriving = new Set<Arriving>()
  const cache = createCoreCache({ store, purges, arriving, limits: defaultLimits, clock })
  const sleep = (ms: number) => {
    now += ms
  }
  const purge = (what: PurgeWish['what'], soft = false) => purges.add([{ scope: 'shop', soft, what }], now)
  return { cache, store, arriving, purge, sleep }
}

const key: CoreCacheKey = { scope: 'shop', space: 'core', key: 'a', headers: [], url: '' }

function written(more: Partial<CoreCacheWrite> = {}): CoreCacheWrite {
  return {
    ...{ maxAgeMs: 10_000, initialAgeMs: 0, staleWhileRevalidateMs: 0, staleIfErrorMs: 0, vary: [], tags: ['one'] },
    ...{ metadata: '', sensitive: false, status: 200, headers: [] },
    ...more,
  }
}

const never = new AbortController().signal

async function text(object: CoreCacheObject | undefined): Promise<string | undefined> {
  const body = object?.body()
  if (body === undefined) return undefined
  if (body === null) return ''
  return Buffer.from(body instanceof Uint8Array ? body : Buffer.concat(await body.toArray())).toString()
}

test('a body that is purged while it arrives is not kept', async () => {
  const { cache, purge, arriving } = open()
  const body = new Readable({ read() {} })
  cache.insert(key, written(), body)
  body.push('half')
  purge({ kind: 'tag', tag: 'one' })
  assert.equal(await cache.lookup(key), undefined, 'nor found while it arrives')
  body.push(null)
  while (arriving.size > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(await cache.lookup(key), undefined)
})

test('a body that breaks off is not kept, and its readers hear of it', async () => {
  const { cache, arriving } = open()
  const body = new Readable({ read() {} })
  cache.insert(key, written(), body)
  const found = await cache.lookup(key)
  body.push('half')
  body.destroy(new Error('cut'))
  await assert.rejects(text(found), /cut/)
  while (arriving.size > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(await cache.lookup(key), undefined)
})

test('a body may break off while somebody holds it who does not read it', async () => {
  const { cache, arriving } = open()
  const body = new Readable({ read() {} })
  cache.insert(key, written(), body)
  const [held, released] = [await cache.lookup(key), await cache.lookup(key)]
  body.destroy(new Error('cut'))
  while (arriving.size > 0) await new Promise((resolve) => setImmediate(resolve))
  const late = held!.body() as Readable
  assert.deepEqual([late.destroyed, late.errored?.message], [true, 'cut'])
  released!.release()
})

test('of a body that has arrived the length is known, and any part of it given, before it is stored', async () => {
  const gate = Promise.withResolvers<void>()
  const { cache, arriving } = open(gate.promise)
  const body = Readable.from([Buffer.from('hel'), Buffer.from('lo')])
  cache.insert(key, written(), body)
  while (!body.readableEnded) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(arriving.size, 1)
  const found = (await cache.lookup(key))!
  assert.equal(found.length, 5)
  assert.equal(Buffer.concat(await (found.body({ from: 1, to: 3 }) as Readable).toArray()).toString(), 'ell')
  gate.resolve()
})

test('turns: one at a time, passed on when given up, ended by what is brought', async () => {
  const { cache } = open()
  const first = await cache.take(key, never)
  const left = new AbortController()
  const impatient = assert.rejects(cache.take(key, left.signal), { code: 'client_gone' })
  const second = cache.take(key, never)
  left.abort()
  await impatient
  first.turn!.cancel()
  const { turn } = await second
  const third = cache.take(key, never)
  turn!.insert(written(), Readable.from([Buffer.from('brought')]), false)
  assert.equal(await text((await third).found), 'brought')
  assert.equal((await third).turn, undefined)
})

test('what is not cacheable makes nobody wait, for a while', async () => {
  const { cache, sleep } = open()
  const { turn } = await cache.take(key, never)
  const waiting = cache.take(key, never)
  turn!.notCacheable(5_000)
  const beside = [(await waiting).turn!, (await cache.take(key, never)).turn!]
  beside[0]!.notCacheable(5_000)
  const late = (await cache.take(key, never)).turn!
  late.insert(written(), Readable.from([Buffer.from('kept')]), false)
  assert.equal(await text((await cache.take(key, never)).found), 'kept', 'one of them may think better of it')
  sleep(10_001)
  const only = (await cache.take(key, never)).turn!
  const waits = cache.take(key, never)
  only.cancel()
  assert.notEqual((await waits).turn, undefined)
})

test('a stale object stands in for an error, for those who waited', async () => {
  const { cache, sleep, arriving } = open()
  cache.insert(key, written({ staleIfErrorMs: 60_000 }), Readable.from([Buffer.from('old')]))
  while (arriving.size > 0) await new Promise((resolve) => setImmediate(resolve))
  sleep(20_000)
  const first = await cache.take(key, never)
  assert.equal(first.found?.state, 'if-error')
  const second = cache.take(key, never)
  // Until it waits.
  await new Promise((resolve) => setImmediate(resolve))
  first.turn!.useStale()
  assert.deepEqual([await text((await second).found), (await second).despiteError], ['old', true])
})

const ages: readonly (readonly [ms: number, state: CoreCacheObject['state']])[] = [
  [0, 'fresh'],
  [9_999, 'fresh'],
  [10_000, 'while-revalidating'],
  [14_999, 'while-revalidating'],
  [15_000, 'if-error'],
  [39_999, 'if-error'],
  [40_000, 'stale'],
]

test('what an age makes of an object', async () => {
  for (const [ms, state] of ages) {
    const { cache, sleep, arriving } = open()
    const times = { initialAgeMs: 1_000, maxAgeMs: 11_000, staleWhileRevalidateMs: 5_000, staleIfErrorMs: 30_000 }
    cache.insert(key, written(times), Readable.from([Buffer.from('x')]))
    while (arriving.size > 0) await new Promise((resolve) => setImmediate(resolve))
    sleep(ms)
    assert.equal((await cache.lookup(key))?.state, state, `after ${ms} ms`)
  }
})
