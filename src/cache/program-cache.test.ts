import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import { defaultLimits } from '#/core/limits.ts'
import { headerValue } from '#/http/header-list.ts'
import type { Arriving } from './flight.ts'
import { createProgramCache } from './program-cache.ts'
import { createPurges } from './purges.ts'
import { createSimpleStore } from './simple-store.ts'

const url = 'https://a.example/x?y'
const place = { program: 'p', name: '' }

function open(limits = defaultLimits) {
  let now = 1_700_000_000_000
  const store = createSimpleStore({ limitBytes: 1024 * 1024 })
  const purges = createPurges(1)
  const arriving = new Set<Arriving>()
  const cache = createProgramCache({ store, purges, arriving, limits, clock: () => now })
  function later(seconds: number): void {
    now += seconds * 1000
  }
  return { cache, purges, arriving, later }
}

function answer(headers: HeaderList = [], change: Partial<Answer> = {}): Answer {
  return { status: 200, headers: ['content-type', 'text/plain', ...headers], body: Buffer.from('hello'), ...change }
}

async function text(found: Answer | undefined): Promise<string | undefined> {
  if (found === undefined) return undefined
  const { body } = found
  return body === null
    ? ''
    : Buffer.from(body instanceof Uint8Array ? body : await body.toArray().then(Buffer.concat)).toString()
}

test('what is kept, and for how long', async () => {
  const table: [string, Answer, number | undefined][] = [
    ['nothing said', answer(), 7_200],
    ['max-age', answer(['cache-control', 'max-age=10']), 10],
    ['s-maxage wins', answer(['cache-control', 'max-age=10, s-maxage=20']), 20],
    ['Expires', answer(['expires', new Date(1_700_000_030_000).toUTCString()]), 30],
    ['stale-while-revalidate has no meaning', answer(['cache-control', 'max-age=10, stale-while-revalidate=60']), 10],
    ['not found', answer([], { status: 404 }), 180],
    ['a server error', answer([], { status: 500 }), undefined],
    ['a server error that says so', answer(['cache-control', 'max-age=5'], { status: 500 }), 5],
    ['a redirect', answer(['location', '/'], { status: 302, body: null }), 1_200],
    ['no-store', answer(['cache-control', 'no-store']), undefined],
    ['private', answer(['cache-control', 'private']), undefined],
    ['no-cache', answer(['cache-control', 'no-cache, max-age=10', 'etag', '"a"']), undefined],
    ['max-age=0', answer(['cache-control', 'max-age=0', 'etag', '"a"']), undefined],
    ['a cookie', answer(['set-cookie', 'a=1']), undefined],
    ['Vary: *', answer(['vary', '*']), undefined],
    ['a part', answer(['content-range', 'bytes 0-4/5'], { status: 206 }), undefined],
    ['other Vary', answer(['vary', 'x-one']), 7_200],
  ]
  for (const [what, given, seconds] of table) {
    const { cache, later } = open()
    assert.equal(await cache.put(place, url, given), seconds !== undefined, what)
    const found = await cache.match(place, { url, headers: [] })
    assert.equal(found?.status, seconds === undefined ? undefined : given.status, what)
    if (seconds === undefined) continue
    later(seconds - 1)
    const old = await cache.match(place, { url, headers: [] })
    assert.equal(headerValue(old!.headers, 'age'), String(seconds - 1), what)
    later(1)
    assert.equal(await cache.match(place, { url, headers: [] }), undefined, what)
  }
})

test('a cookie that is named private is left out, and the rest kept', async () => {
  const { cache } = open()
  assert.ok(
    await cache.put(place, url, answer(['set-cookie', 'a=1', 'cache-control', 'private=Set-Cookie, max-age=9'])),
  )
  const found = await cache.match(place, { url, headers: [] })
  assert.equal(headerValue(found!.headers, 'set-cookie'), undefined)
})

test('parts and conditions are answered from what is kept', async () => {
  const { cache } = open()
  const modified = 'Tue, 14 Nov 2023 10:00:00 GMT'
  await cache.put(place, url, answer(['etag', '"a"', 'last-modified', modified, 'content-length', '5']))
  const table: [HeaderList, number, string][] = [
    [[], 200, 'hello'],
    [['range', 'bytes=1-2'], 206, 'el'],
    [['range', 'bytes=9-'], 416, ''],
    [['if-none-match', 'W/"a"'], 304, ''],
    [['if-none-match', '"b"'], 200, 'hello'],
    [['if-modified-since', modified], 304, ''],
  ]
  for (const [headers, status, body] of table) {
    const found = await cache.match(place, { url, headers })
    assert.deepEqual([found!.status, await text(found)], [status, body], headers.join())
    if (status === 200) assert.equal(headerValue(found!.headers, 'content-length'), '5')
  }
})

test('programs and names are apart', async () => {
  const { cache } = open()
  await cache.put(place, url, answer())
  for (const other of [
    { program: 'q', name: '' },
    { program: 'p', name: 'x' },
    { program: 'p', name: '\n' },
  ]) {
    assert.equal(await cache.match(other, { url, headers: [] }), undefined)
    assert.equal(await cache.delete(other, url), false)
  }
  assert.equal(await text(await cache.match(place, { url: 'HTTPS://A.example:443/x?y#z', headers: [] })), 'hello')
  assert.equal(await cache.delete(place, url), true)
  assert.equal(await cache.delete(place, url), false)
  assert.equal(await cache.match(place, { url, headers: [] }), undefined)
})

test('a body that breaks off, or is not as long as it says, is not kept', async () => {
  const { cache, arriving } = open()
  const broken = Readable.from(
    (async function* () {
      yield Buffer.from('hel')
      throw new Error('gone')
    })(),
  )
  await assert.rejects(cache.put(place, url, answer([], { body: broken })), /gone/)
  await assert.rejects(cache.put(place, url, answer(['content-length', '9'])), /not as long/)
  assert.equal(await cache.match(place, { url, headers: [] }), undefined)
  assert.equal(arriving.size, 0)
})

test('what is too large is refused after it was read', async () => {
  const { cache } = open({ ...defaultLimits, cacheObjectBytes: 8 })
  const body = Readable.from([Buffer.alloc(6), Buffer.alloc(6)])
  assert.equal(await cache.put(place, url, answer([], { body })), false)
  assert.ok(body.readableEnded)
  assert.equal(await cache.put(place, url, answer(['content-length', '9'])), false)
})

test('purges reach it, also on its way in', async () => {
  const { cache, purges, arriving } = open()
  await cache.put(place, url, answer(['cache-tag', 'one,two']))
  purges.add([{ scope: 'q', what: { kind: 'everything' }, soft: false }], 0)
  assert.ok(await cache.match(place, { url, headers: [] }))
  purges.add([{ scope: 'p', what: { kind: 'tag', tag: 'two' }, soft: false }], 0)
  assert.equal(await cache.match(place, { url, headers: [] }), undefined)

  const slow = new Readable({ read() {} })
  const putting = cache.put(place, url, answer([], { body: slow }))
  while (arriving.size === 0) await new Promise((resolve) => setImmediate(resolve))
  purges.add([{ what: { kind: 'host', host: 'a.example' }, soft: true }], 0)
  slow.push('late')
  slow.push(null)
  await putting
  assert.equal(await cache.match(place, { url, headers: [] }), undefined)
})
