/** Origins that hang, drip and hang up, with the limits made short; and what programs order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gate, say } from './support/delivery.ts'
import { until } from './support/node.ts'
import { fieldOf, openCache, textOf } from './support/shared-cache.ts'

const stale = { 'cache-control': 'max-age=10', age: '20' }

test('an origin that hangs: a stale answer stands in, everybody waits once', async (t) => {
  const { origin, line } = await openCache(t, { siteOriginFirstByteMs: 300 })
  origin.on('/hung', (asked, answer, count) => {
    if (count === 1) say(stale, 'kept')(asked, answer, count)
  })
  await line('/hung')
  assert.equal(await line('/hung'), '200 kept stale')
  origin.on('/black', () => {})
  const waiting = await Promise.allSettled(Array.from({ length: 10 }, () => line('/black')))
  assert.deepEqual([...new Set(waiting.map((one) => 'reason' in one && one.reason.code))], ['origin_timeout'])
  assert.equal(origin.seen('/black').length, 1)
})

test('how long stale answers stand in is bounded', async (t) => {
  const { origin, line, skip } = await openCache(t, { cacheStaleIfDownMs: 60_000 })
  origin.on('/old', say(stale, 'kept'))
  await line('/old')
  await origin.stop()
  assert.equal(await line('/old'), '200 kept stale')
  skip(61_000)
  await assert.rejects(line('/old'), { code: 'origin_refused' })
})

test('a private stream goes on as long as it likes', async (t) => {
  const { origin, fetch } = await openCache(t, { cacheFinishMs: 50 })
  const rest = gate()
  origin.on('/events', async (_asked, answer) => {
    answer.writeHead(200, { 'cache-control': 'no-store' })
    answer.write('one ')
    await rest.opened
    answer.end('two')
  })
  const answer = await fetch('/events')
  setTimeout(rest.open, 200)
  assert.equal(await textOf(answer), 'one two')
})

test('a fetch that nobody waits for ends in time, and leaves no connection behind', async (t) => {
  const { origin, fetch } = await openCache(t, { cacheFinishMs: 50 })
  const closed = gate()
  origin.on('/never', (asked) => asked.socket.on('close', closed.open))
  const leaving = new AbortController()
  const asked = fetch('/never', { signal: leaving.signal })
  await until(() => origin.seen('/never').length === 1, 'the request is at the origin')
  leaving.abort()
  await assert.rejects(asked, { code: 'client_gone' })
  await closed.opened
})

test('the beginning that is stored is completed, unless the file changed', async (t) => {
  const { origin, fetch } = await openCache(t)
  const whole = '0123456789'
  for (const changed of [false, true]) {
    const path = `/part?${changed}`
    origin.on(path, (asked, answer, count) => {
      const etag = changed && count > 1 ? '"new"' : '"old"'
      const common = { 'cache-control': 'max-age=60', etag, 'content-type': 'text/x-part' }
      const from = Number(/^bytes=(\d+)-/.exec(asked.headers.range ?? '')?.[1])
      if (Number.isNaN(from)) return void answer.writeHead(200, common).end(whole.toUpperCase())
      const last = asked.headers.range === 'bytes=0-4' ? 4 : 9
      answer.writeHead(206, { ...common, 'content-range': `bytes ${from}-${last}/10` }).end(whole.slice(from, last + 1))
    })
    await textOf(await fetch(path, { headers: ['range', 'bytes=0-4'] }))
    const answer = await fetch(path)
    assert.deepEqual([answer.status, fieldOf(answer, 'content-length')], [200, changed ? undefined : '10'])
    assert.equal(await textOf(answer), whole)
    assert.equal(origin.seen(path)[1]!.headers.range, 'bytes=5-')
    assert.equal(origin.seen(path).length, changed ? 3 : 2)
    const hit = await fetch(path)
    assert.deepEqual([hit.cacheOutcome, await textOf(hit), fieldOf(hit, 'content-type')], ['hit', whole, 'text/x-part'])
  }
})

test('what a program orders wins over what the origin says', async (t) => {
  const { origin, line } = await openCache(t)
  const rows: [string, Record<string, string>, object, string][] = [
    ['ttl', { 'cache-control': 'no-store' }, { ttl: 60 }, 'hit'],
    ['ttl and cookies', { 'set-cookie': 'a=b' }, { ttl: 60 }, 'hit'],
    ['ttl 0', { 'cache-control': 'max-age=60' }, { ttl: 0 }, 'dynamic'],
    ['by status', { 'cache-control': 'max-age=60' }, { ttlByStatus: [{ from: 200, to: 299, ttl: -1 }] }, 'dynamic'],
    ['everything', {}, { everything: true }, 'hit'],
    ['everything, private', { 'cache-control': 'private' }, { everything: true }, 'dynamic'],
    ['nothing', {}, {}, 'dynamic'],
    ['bypass', { 'cache-control': 'max-age=60' }, { bypass: true }, 'bypass'],
    ['refresh', { 'cache-control': 'max-age=60' }, { refresh: true }, 'miss'],
  ]
  for (const [what, headers, wish, outcome] of rows) {
    const path = `/${encodeURIComponent(what)}`
    origin.on(path, say(headers))
    await line(path, { program: 'worker', wish })
    assert.equal(await line(path, { program: 'worker', wish }), `200 hello ${outcome}`, what)
  }
  origin.on('/a', say({ 'cache-control': 'max-age=60' }, 'a'))
  origin.on('/b', say({ 'cache-control': 'max-age=60' }, 'b'))
  await line('/a', { program: 'worker', wish: { key: 'same' } })
  assert.equal(await line('/b', { program: 'worker', wish: { key: 'same' } }), '200 a hit')
  assert.equal(await line('/b', { program: 'other', wish: { key: 'same' } }), '200 b miss')
})

test('keys are what the site makes of them', async (t) => {
  const { origin, line } = await openCache(t)
  const rows: [object, string, string, string][] = [
    [{ sortQuery: true }, '/s?b=2&a=1', '/s?a=1&b=2', 'hit'],
    [{}, '/n?b=2&a=1', '/n?a=1&b=2', 'miss'],
    [{ query: { kind: 'none' } }, '/q?x=1', '/q?x=2', 'hit'],
    [{ query: { kind: 'without', names: ['utm_*', 'fbclid'] } }, '/u?x=1&utm_a=1', '/u?fbclid=3&x=1', 'hit'],
    [{ query: { kind: 'without', names: ['utm_*'] } }, '/w?x=1;utm_a=1', '/w?x=1', 'miss'],
    [{ query: { kind: 'only', names: ['id'] } }, '/o?id=1&z=2', '/o?id=1', 'hit'],
    [{ query: { kind: 'only', names: ['id'] } }, '/p?id=1', '/p?id=2', 'miss'],
  ]
  for (const [key, first, second, outcome] of rows) {
    for (const path of [first, second]) origin.on(path, say({ 'cache-control': 'max-age=60' }))
    await line(first, { wish: { policy: { key } } })
    assert.match(await line(second, { wish: { policy: { key } } }), new RegExp(`${outcome}$`), `${first} ${second}`)
  }
  origin.on('/h', say({ 'cache-control': 'max-age=60' }))
  const policy = { key: { ignoreHost: true, headers: ['x-device'], cookies: ['plan'] } }
  const ask = (host: string, ...headers: string[]) => line('/h', { host, headers, wish: { policy } })
  assert.match(await ask('one.example', 'cookie', 'id=1; plan=pro'), /miss$/)
  assert.match(await ask('two.example', 'cookie', 'plan=pro; id=2'), /hit$/)
  assert.match(await ask('two.example', 'cookie', 'plan=free'), /miss$/)
  assert.match(await ask('two.example', 'cookie', 'plan=pro', 'x-device', 'tv'), /miss$/)
  const bypassPaths = ['/admin/*', '*.cgi']
  origin.on('/admin/x', say({ 'cache-control': 'max-age=60' }))
  for (const _ of [1, 2]) assert.match(await line('/admin/x', { wish: { policy: { bypassPaths } } }), /bypass$/)
})

test('clients direct the cache where the site lets them', async (t) => {
  const { origin, line, skip } = await openCache(t)
  const policy = { obeyRequestDirectives: true }
  const ask = (field?: string) =>
    line('/d', { headers: field === undefined ? [] : ['cache-control', field], wish: { policy } })
  assert.equal(await ask('only-if-cached'), '504  miss')
  origin.on('/d', say({ 'cache-control': 'max-age=60', etag: '"d"' }))
  assert.match(await ask('no-store'), /dynamic$/)
  assert.match(await ask(), /miss$/)
  skip(10_000)
  for (const [field, outcome] of [
    ['max-age=20', 'hit'],
    ['min-fresh=40', 'hit'],
    ['min-fresh=55', 'expired'],
    ['no-cache', 'expired'],
    ['only-if-cached', 'hit'],
  ] as const)
    assert.match(await ask(field), new RegExp(`${outcome}$`), field)
  skip(70_000)
  assert.match(await ask('max-stale=30'), /hit$/)
  assert.match(await ask('max-stale=5, only-if-cached'), /^504/)
})

test('a thousand clients on one cold key cost one request, also when what is stored is stale', async (t) => {
  const { origin, line, skip } = await openCache(t)
  let ready = gate()
  origin.on('/one', async (_asked, answer, count) => {
    await ready.opened
    answer.writeHead(200, { 'cache-control': 'max-age=10', age: count === 1 ? '5' : '0' }).end(`v${count}`)
  })
  const wave = async (version: number) => {
    const lines = Array.from({ length: 1_000 }, () => line('/one'))
    await until(() => origin.seen('/one').length === version, 'the request is at the origin')
    ready.open()
    const texts = (await Promise.all(lines)).map((one) => one.split(' ')[1])
    assert.deepEqual([...new Set(texts)], [`v${version}`])
    assert.equal(origin.seen('/one').length, version)
  }
  await wave(1)
  skip(6_000)
  ready = gate()
  await wave(2)
})
