/** What every `CacheStore` does, run by each implementation; the fuzz is in `store-fuzz.contract.ts`. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { CacheStore, StoredAnswer, StoredHead } from './store.ts'

export interface OpenedStore {
  readonly store: CacheStore
  /** What the store was told to stay within, memory and disk together. */
  readonly bytes: number
}

/** Opens an empty store of a few MiB; the test closes it. */
export type OpenStore = (t: TestContext) => Promise<OpenedStore>

export function headOf(key: string, more: Partial<StoredHead> = {}): StoredHead {
  return {
    key,
    variant: '',
    vary: [],
    url: `http://shop.test/${key}`,
    status: 200,
    headers: ['content-type', 'text/plain', 'x-key', `ü ${key}`],
    tags: ['all'],
    scope: 'shop',
    requestedAt: 1,
    receivedAt: 2,
    sequence: 3,
    policy: { ttl: 60, nested: { reasons: ['max-age'] } },
    ...more,
  }
}

/** Bytes that differ everywhere, so that a shifted block shows. */
export function pattern(length: number, seed = 0): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at++) bytes[at] = (at * 31 + (at >> 8) * 17 + seed) & 255
  return bytes
}

export async function put(
  store: CacheStore,
  head: StoredHead,
  body: Uint8Array,
  chunkBytes = 50_000,
): Promise<StoredAnswer> {
  const writer = store.open(head, body.length)
  assert.ok(writer, 'the store takes it')
  for (let at = 0; at < body.length; at += chunkBytes)
    assert.equal(await writer.write(body.subarray(at, at + chunkBytes)), true)
  const answer = await writer.finish()
  assert.ok(answer, 'the store kept it')
  return answer
}

export async function bodyOf(answer: StoredAnswer, range?: { start: number; end: number }): Promise<Buffer> {
  return Buffer.concat(await answer.stream(range).toArray())
}

async function only(store: CacheStore, key: string): Promise<StoredAnswer> {
  const found = await store.find(key)
  assert.equal(found.length, 1, `one answer under ${key}`)
  return found[0]!
}

export function storeContract(name: string, open: OpenStore): void {
  test(`${name}: what was stored comes back, whole and in ranges`, async (t) => {
    const { store } = await open(t)
    assert.deepEqual(await store.find('none'), [])
    for (const length of [0, 1, 1000, 65_535, 65_536, 65_537, 300_000]) {
      const head = headOf(`k${length}`)
      const body = pattern(length)
      for (const answer of [await put(store, head, body), await only(store, head.key)]) {
        assert.deepEqual(answer.head, head)
        assert.equal(answer.bodyBytes, length)
        assert.ok(body.equals(await bodyOf(answer)), `${length}`)
        const whole = answer.bytes()
        if (whole !== undefined) assert.ok(body.equals(whole))
        for (const [start, end] of [
          [0, 0],
          [10, 999],
          [65_530, 65_540],
          [65_536, 299_999],
          [299_999, 400_000],
        ] as const)
          assert.ok(body.subarray(start, end + 1).equals(await bodyOf(answer, { start, end })), `${length} ${start}`)
      }
    }
    assert.equal(store.size.entries, 7)
  })

  test(`${name}: nothing is seen before the end, and nothing of an aborted body`, async (t) => {
    const { store } = await open(t)
    for (const length of [10, 200_000]) {
      const writer = store.open(headOf('a'), undefined)!
      await writer.write(pattern(length))
      assert.deepEqual(await store.find('a'), [])
      writer.abort()
      assert.equal(await writer.finish(), undefined)
      assert.equal(await writer.write(pattern(1)), false)
      assert.deepEqual(await store.find('a'), [])
    }
  })

  test(`${name}: variants stand side by side; the same one is replaced`, async (t) => {
    const { store } = await open(t)
    for (const [variant, text] of [
      ['', 'plain'],
      ['gzip', 'zipped'],
      ['br', 'smaller'],
      ['gzip', 'zipped anew'],
    ] as const)
      await put(store, headOf('v', { variant, vary: ['accept-encoding'] }), Buffer.from(text))
    const found = await store.find('v')
    const bodies = await Promise.all(found.map(async (answer) => [answer.head.variant, `${await bodyOf(answer)}`]))
    assert.deepEqual(bodies.sort(), [
      ['', 'plain'],
      ['br', 'smaller'],
      ['gzip', 'zipped anew'],
    ])
  })

  test(`${name}: parts stand side by side until the whole comes`, async (t) => {
    const { store } = await open(t)
    const part = (start: number): StoredHead => headOf('p', { partial: { start, total: 900 } })
    for (const start of [0, 300, 600, 300]) await put(store, part(start), pattern(300, start))
    await put(store, headOf('p', { variant: 'br', partial: { start: 0, total: 5 } }), pattern(5))
    const starts = (await store.find('p')).map(({ head }) => `${head.variant}${head.partial!.start}`)
    assert.deepEqual(starts.sort(), ['0', '300', '600', 'br0'])
    await put(store, headOf('p'), pattern(900))
    const left = (await store.find('p')).map(({ head }) => `${head.variant}${head.partial?.start}`)
    assert.deepEqual(left.sort(), ['br0', 'undefined'])
  })

  test(`${name}: refresh gives a new head to the same body, and only to that`, async (t) => {
    const { store } = await open(t)
    for (const length of [100, 200_000]) {
      const key = `r${length}`
      const first = await put(store, headOf(key), pattern(length))
      const fresh = headOf(key, { receivedAt: 99, headers: ['etag', '"2"'] })
      assert.deepEqual((await store.refresh(first, fresh))?.head, fresh)
      const found = await only(store, key)
      assert.deepEqual(found.head, fresh)
      assert.ok(pattern(length).equals(await bodyOf(found)))
      assert.equal(await store.refresh(first, headOf(key, { receivedAt: 100 })), undefined, 'it is gone meanwhile')
      const newer = await put(store, headOf(key, { receivedAt: 101 }), pattern(length, 7))
      assert.equal(await store.refresh(found, headOf(key, { receivedAt: 102 })), undefined)
      assert.ok(pattern(length, 7).equals(await bodyOf(await only(store, key))))
      store.remove(newer)
      assert.equal(await store.refresh(newer, headOf(key, { receivedAt: 103 })), undefined)
    }
  })

  test(`${name}: what was removed is gone at once, and was readable for who had it`, async (t) => {
    const { store } = await open(t)
    for (const length of [100, 200_000]) {
      const answer = await put(store, headOf('gone'), pattern(length))
      await put(store, headOf('gone', { variant: 'other' }), pattern(5))
      const reading = bodyOf(answer)
      store.remove(answer)
      assert.equal((await only(store, 'gone')).head.variant, 'other')
      assert.ok(pattern(length).equals(await reading))
      store.remove(answer)
    }
  })

  test(`${name}: removeWhere drops what matches and counts it`, async (t) => {
    const { store } = await open(t)
    const count = 300
    for (let i = 0; i < count; i++)
      await put(store, headOf(`w${i}`, { tags: [i % 3 === 0 ? 'fizz' : 'plain'] }), pattern(i % 7 === 0 ? 70_000 : 100))
    const match = (head: StoredHead): boolean => head.tags.includes('fizz')
    const [removed] = await Promise.all([
      store.removeWhere(match),
      store.removeWhere(({ tags }) => tags.includes('no')),
    ])
    assert.equal(removed, count / 3)
    for (let i = 0; i < count; i++) assert.equal((await store.find(`w${i}`)).length, i % 3 === 0 ? 0 : 1)
    assert.equal(await store.removeWhere(match), 0)
    assert.equal(store.size.entries, (count / 3) * 2)
    assert.equal(await store.removeWhere(() => true), (count / 3) * 2)
    assert.equal(store.size.entries, 0)
  })

  test(`${name}: stays within its bytes, keeps what is used, and answers rightly all the time`, async (t) => {
    const { store, bytes } = await open(t)
    let found = 0
    let most = 0
    const total = 1500
    for (let i = 0; i < total; i++) {
      await put(store, headOf(`b${i}`), pattern(20_000, i), 20_000)
      const back = Math.max(0, i - 5)
      for (const answer of await store.find(`b${back}`)) {
        found++
        assert.ok(pattern(20_000, back).equals(await bodyOf(answer)))
      }
      const { memoryBytes, diskBytes } = store.size
      most = Math.max(most, memoryBytes + diskBytes)
    }
    assert.ok(most <= bytes, `${most} of ${bytes}`)
    assert.ok(found > total * 0.9, `${found} of ${total} were found soon after`)
    assert.ok(store.size.entries > 100)
  })

  test(`${name}: refuses what can never fit, and gives up what turns out so`, async (t) => {
    const { store, bytes } = await open(t)
    assert.equal(store.open(headOf('huge'), bytes + 1), undefined)
    const writer = store.open(headOf('huge'), undefined)!
    let going = true
    for (let at = 0; going && at < bytes + 2_000_000; at += 1_000_000) going = await writer.write(pattern(1_000_000))
    assert.equal(going, false)
    assert.equal(await writer.finish(), undefined)
    assert.deepEqual(await store.find('huge'), [])
    await put(store, headOf('small'), pattern(10))
  })

  test(`${name}: after close nothing is taken`, async (t) => {
    const { store } = await open(t)
    await put(store, headOf('a'), pattern(10))
    await store.close()
    await store.close()
    assert.equal(store.open(headOf('b'), 10), undefined)
  })
}
