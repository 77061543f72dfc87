/** A hit in memory takes a short way of its own: what clients get is what the long way would have said. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import type { AnswerPolicy } from '#/core/answer-policy.ts'
import type { CachePolicy } from '#/core/cache-policy.ts'
import type { EgressAnswer, HitRequest } from '#/core/ports.ts'
import type { Site } from '#/core/snapshot.ts'
import { aSnapshot, rawExchange, readAll, startEdge } from '#/edge/edge.fixture.ts'
import { say } from './support/delivery.ts'
import { openCache } from './support/shared-cache.ts'

const text = 'A line that is worth compressing.\n'.repeat(100)
const html = { 'content-type': 'text/html', 'cache-control': 'max-age=600', etag: '"v1"', vary: 'Accept-Encoding' }

/** Each is asked three times: the first fills the cache, `short` says whether the third goes the short way. */
const cases: readonly {
  readonly name: string
  readonly origin?: Record<string, string>
  readonly status?: number
  readonly body?: string
  readonly method?: string
  readonly fields?: readonly string[]
  readonly cache?: CachePolicy
  readonly answers?: AnswerPolicy
  readonly short: boolean
}[] = [
  { name: 'a page', short: true },
  { name: 'a page for who reads gzip', fields: ['Accept-Encoding: gzip'], short: true },
  {
    name: 'a page for who forbids changes',
    fields: ['Accept-Encoding: gzip', 'Cache-Control: no-transform'],
    short: true,
  },
  { name: 'a page with a connection field of its own', fields: ['Connection: keep-alive'], short: true },
  { name: 'an empty page', body: '', short: true },
  { name: 'an error that is kept', status: 404, short: true },
  { name: 'HEAD', method: 'HEAD', short: true },
  { name: 'a range', fields: ['Range: bytes=5-9'], short: true },
  { name: 'a range too far', fields: ['Range: bytes=999999-'], short: true },
  { name: 'what the client has', fields: ['If-None-Match: "v1"'], short: true },
  { name: 'what the client has not', fields: ['If-None-Match: "v0"'], short: true },
  { name: 'keys for those who debug', origin: { 'surrogate-key': 'a b' }, fields: ['Fastly-Debug: 1'], short: true },
  { name: 'keys for the others', origin: { 'surrogate-key': 'a b' }, short: true },
  { name: 'a key with a field', cache: { key: { headers: ['X-Kind'] } }, fields: ['X-Kind: a'], short: true },
  { name: 'rules for answers', answers: { headers: [{ action: 'set', name: 'x-own', value: '1' }] }, short: true },
  { name: 'selected by what the edge says', origin: { vary: 'X-Forwarded-Proto' }, short: false },
  { name: 'a key with what the edge says', cache: { key: { headers: ['CF-IPCountry'] } }, short: false },
  { name: 'a request that went round', fields: ['CDN-Loop: other'], short: false },
  { name: 'a field of this connection', fields: ['Connection: x-a', 'X-A: 1'], short: false },
  { name: 'a site that bypasses', cache: { bypassPaths: ['/*'] }, short: false },
  {
    name: 'a client that wants it anew',
    cache: { obeyRequestDirectives: true },
    fields: ['Cache-Control: no-cache'],
    short: false,
  },
  { name: 'no time to live', origin: { 'cache-control': 'max-age=0' }, short: false },
  { name: 'no storing', origin: { 'cache-control': 'no-store' }, short: false },
]

for (const one of cases)
  test(`the same on both ways: ${one.name}`, async (t) => {
    const { method = 'GET', fields = [], status = 200, body = text } = one
    const bytes = `${method} /page HTTP/1.1\r\nHost: shop.localhost\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`
    const last = `GET /last HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n`
    const answered: string[] = []
    let short = false
    for (const way of ['short', 'long']) {
      const { cache, origin } = await openCache(t)
      origin.on('/page', say({ ...html, ...one.origin }, body, status))
      origin.on('/last', say({ 'cache-control': 'no-store' }, 'last'))
      const site: Site = {
        name: 'shop',
        hostnames: ['shop.localhost'],
        routes: [],
        target: { kind: 'origin', url: origin.url },
        ...(one.cache && { cache: one.cache }),
        ...(one.answers && { answers: one.answers }),
      }
      const hit = (request: HitRequest): EgressAnswer | undefined => {
        const found = cache.hit(request)
        if (request.publicUrl.endsWith('/page')) short = found !== undefined
        return found
      }
      const egress = way === 'short' ? { fetch: cache.fetch, hit } : { fetch: cache.fetch }
      const { port } = await startEdge(t, { options: { snapshot: () => aSnapshot([site]), egress } })
      await rawExchange(port, bytes + last)
      await rawExchange(port, bytes + last)
      short = false
      const got = await rawExchange(port, bytes + last)
      if (way === 'short') assert.equal(short, one.short)
      answered.push(comparable(got))
    }
    assert.equal(answered[0], answered[1])
  })

/** Without what is another each time; the order of fields does not count. */
function comparable(answers: string): string {
  const [heads = '', ...bodies] = answers.split('\r\n\r\n')
  const plain = heads.replace(/^(date|cf-ray|age): .*$/gim, '$1').replace(/; ttl=\d+/, '; ttl')
  return [
    ...plain.toLowerCase().split('\r\n').sort(),
    ...bodies.map((body) => body.replace(/^(date|cf-ray): .*$/gim, '$1')),
  ].join('\n')
}

test('what a slow reader has not taken yet is not written over by the answers after it', async (t) => {
  const { cache, origin } = await openCache(t)
  const count = 400
  const site: Site = {
    name: 'shop',
    hostnames: ['shop.localhost'],
    routes: [],
    target: { kind: 'origin', url: origin.url },
  }
  for (const letter of 'abc')
    origin.on(`/${letter}`, say({ ...html, 'content-type': 'image/png' }, letter.repeat(15_000)))
  const { port } = await startEdge(t, { options: { snapshot: () => aSnapshot([site]), egress: cache } })
  const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: shop.localhost\r\n${more}\r\n`
  const order = Array.from({ length: count }, (_, index) => 'abc'[index % 3]!)
  await rawExchange(port, get('/a') + get('/b') + get('/c', 'Connection: close\r\n'))
  const slow = connect({ port, host: '127.0.0.1' })
  slow.pause()
  slow.write(order.map((letter) => get(`/${letter}`)).join('') + get('/a', 'Connection: close\r\n'))
  // Others are answered meanwhile, from the same memory.
  for (let round = 0; round < 20; round++)
    await rawExchange(port, get('/c') + get('/b') + get('/a', 'Connection: close\r\n'))
  const got = await readAll(slow.resume())
  const bodies = [...got.matchAll(/\r\n\r\n(a+|b+|c+)(?=HTTP|$)/g)].map(([, body]) => body!)
  assert.deepEqual(
    bodies.map((body) => `${body[0]} ${body.length}`),
    [...order, 'a'].map((letter) => `${letter} 15000`),
  )
})

test('a purged page is not answered, and a stored one that was replaced answers with its new fields', async (t) => {
  const { cache, origin, purge, skip } = await openCache(t)
  const site: Site = {
    name: 'shop',
    hostnames: ['shop.localhost'],
    routes: [],
    target: { kind: 'origin', url: origin.url },
  }
  const { port } = await startEdge(t, { options: { snapshot: () => aSnapshot([site]), egress: cache } })
  const ask = () => rawExchange(port, 'GET /p HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n')
  origin.on('/p', say({ ...html, 'x-version': '1' }, 'first'))
  await ask()
  assert.match(await ask(), /x-version: 1[\s\S]*cf-cache-status: HIT[\s\S]*first$/)
  origin.on('/p', say({ ...html, 'x-version': '2' }, 'second'))
  assert.match(await ask(), /x-version: 1[\s\S]*first$/)
  await purge({ kind: 'everything' })
  assert.match(await ask(), /x-version: 2[\s\S]*cf-cache-status: MISS[\s\S]*second/)
  assert.match(await ask(), /x-version: 2[\s\S]*age: 0\r\n[\s\S]*cf-cache-status: HIT[\s\S]*second$/)
  skip(90_000)
  const later = await ask()
  assert.match(later, /\r\nage: 9\d\r\n[\s\S]*cache-status: rimward; hit; ttl=5\d\d\r\n/)
  skip(600_000)
  assert.match(await ask(), /cf-cache-status: (EXPIRED|REVALIDATED)/)
})
