/** The caches that programs fill themselves, with programs made by the vendor's JavaScript SDK. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ProgramAnswer, ProgramRequest } from '#/core/ports.ts'
import { textOf } from '#/engines/compute/compute.fixture.ts'
import { type BackendStage, compileScript, openBackends, openOrigin } from '../support/compute.ts'

const source = `
import { CacheOverride } from 'fastly:cache-override'
import { CoreCache, SimpleCache } from 'fastly:cache'
import { purgeSurrogateKey } from 'fastly:compute'
const facts = (e) => e === null ? 'none' : [e.state().found() ? 'found' : '', e.state().usable() ? 'usable' : '', e.state().stale() ? 'stale' : '', e.state().mustInsertOrUpdate() ? 'must' : ''].filter(Boolean).join(' ') || 'nothing'
const text = (body) => new Response(body).text()
const routes = {
  '/simple/get': async () => { const e = SimpleCache.get('k'); return e === null ? 'none' : e.text() },
  '/simple/set': () => { SimpleCache.set('k', 'simple value', 60); return 'set' },
  '/simple/stream': async () => {
    const answer = await fetch('http://origin.test/', { backend: 'origin', cacheOverride: new CacheOverride('pass') })
    SimpleCache.set('stream', answer.body, 100, Number(answer.headers.get('content-length')))
    return SimpleCache.get('stream').text()
  },
  '/simple/purge': () => { SimpleCache.purge('k', { scope: 'global' }); return 'purged' },
  '/simple/or': async (event, q) => (await SimpleCache.getOrSet('or', async () => ({ value: 'made by ' + q.get('who'), ttl: 60 }))).text(),
  '/core/insert': async (event, q) => {
    const w = CoreCache.insert(q.get('k'), { maxAge: 60_000, staleWhileRevalidate: 60_000, surrogateKeys: ['one', 'two'], userMetadata: 'meta', ...(q.get('vary') ? { vary: ['x-kind'], headers: event.request.headers } : {}) })
    w.append(q.get('v')); w.close()
    return 'inserted'
  },
  '/core/lookup': async (event, q) => {
    const e = CoreCache.lookup(q.get('k'), { headers: event.request.headers })
    if (e === null) return 'none'
    const f = facts(e)
    if (!e.state().found()) return f
    const range = q.get('from') ? { start: +q.get('from'), end: +q.get('to') } : undefined
    return [f, await text(e.body(range)), e.length(), e.maxAge(), new TextDecoder().decode(e.userMetadata()), e.hits(), Math.floor(e.age() / 1000)].join('|')
  },
  '/core/collapse': async (event, q) => {
    const e = CoreCache.transactionLookup('collapse')
    if (!e.state().mustInsertOrUpdate()) return 'joined ' + await text(e.body())
    const [w, r] = e.insertAndStreamBack({ maxAge: 60_000 })
    w.append('first ')
    const answer = await fetch('http://origin.test/slow', { backend: 'origin', cacheOverride: new CacheOverride('pass') })
    w.append(await answer.text()); w.close()
    return 'brought ' + await text(r.body())
  },
  '/core/cancel': async (event, q) => {
    const e = CoreCache.transactionLookup('cancel')
    if (!e.state().mustInsertOrUpdate()) return 'found ' + await text(e.body())
    await fetch('http://origin.test/slow', { backend: 'origin', cacheOverride: new CacheOverride('pass') })
    if (q.get('die')) { throw new Error('gave up') }
    const w = e.insert({ maxAge: 60_000 }); w.append('second'); w.close()
    return 'second brought'
  },
  '/core/update': async () => {
    const e = CoreCache.transactionLookup('update')
    const f = facts(e)
    if (!e.state().found()) { const w = e.insert({ maxAge: 10_000, staleWhileRevalidate: 100_000 }); w.append('old body'); w.close(); return f }
    const body = await text(e.body())
    if (e.state().mustInsertOrUpdate()) e.update({ maxAge: 1000_000 })
    return f + '|' + body
  },
  '/core/unclosed': () => { const w = CoreCache.insert('unclosed', { maxAge: 60_000 }); w.append('half'); return 'left' },
  '/core/whole': async () => {
    const key = 'w'.repeat(8135)
    const w = CoreCache.insert(key, { maxAge: 60_000 })
    w.append('hel'); w.append('lo'); w.close()
    return CoreCache.lookup(key).length() + ' ' + await text(CoreCache.lookup(key).body({ start: 1, end: 3 }))
  },
  '/core/die': () => {
    const w = CoreCache.insert('dying', { maxAge: 60_000 })
    w.append('half')
    CoreCache.lookup('dying')
    throw new Error('dead')
  },
  '/core/secret': () => { const w = CoreCache.insert('secret', { maxAge: 60_000, sensitive: true }); w.append('card number'); w.close(); return 'kept' },
  '/purge': (event, q) => { purgeSurrogateKey(q.get('key'), q.get('soft') === '1'); return 'purged' },
}
addEventListener('fetch', (event) => event.respondWith((async () => { const u = new URL(event.request.url); return new Response(await routes[u.pathname](event, u.searchParams)) })()))
`

let opened: BackendStage
let wasm: Uint8Array
const tests: [string, (t: TestContext) => Promise<void>][] = []

test('caches of programs', async (t) => {
  wasm = await compileScript(source)
  opened = await openBackends(t, { computeCpuMs: 5_000 })
  for (const [name, run] of tests) await t.test(name, run)
})

async function stage(t: TestContext, answer?: Parameters<typeof openOrigin>[1], name = 'cacher') {
  const origin = await openOrigin(t, answer ?? ((_request, response) => response.end('x')))
  const program = opened.add(name, wasm, { backends: [origin.backend] })
  await opened.cache.purge([{ scope: name, soft: false, what: { kind: 'everything' } }])
  const ask = (path: string, more?: Partial<ProgramRequest>): Promise<ProgramAnswer> => opened.ask(program, path, more)
  return {
    ...opened,
    origin,
    ask,
    said: async (path: string, more?: Partial<ProgramRequest>) => textOf(await ask(path, more)),
  }
}

tests.push([
  'the simple cache gives back what was set, until it is purged',
  async (t) => {
    const { said } = await stage(t)
    assert.equal(await said('/simple/get'), 'none')
    assert.equal(await said('/simple/set'), 'set')
    assert.equal(await said('/simple/get'), 'simple value')
    assert.equal(await said('/simple/purge'), 'purged')
    assert.equal(await said('/simple/get'), 'none')
    assert.equal(await said('/simple/or?who=a'), 'made by a')
    assert.equal(await said('/simple/or?who=b'), 'made by a')
  },
])

tests.push([
  'an answer of a backend goes into the simple cache as it comes, and out of it',
  async (t) => {
    const { said } = await stage(t, (_request, response) => response.end('from the backend'))
    assert.equal(await said('/simple/stream'), 'from the backend')
    assert.equal(await said('/simple/stream'), 'from the backend')
  },
])

tests.push([
  'what a program brought whole it finds whole: its length, parts of it; keys may be long',
  async (t) => {
    const { said } = await stage(t)
    assert.equal(await said('/core/whole'), '5 ell')
  },
])

tests.push([
  'a program that dies over an object it brings and looks at takes nobody with it',
  async (t) => {
    const { said, ask } = await stage(t)
    assert.equal((await ask('/core/die')).status, 500)
    assert.equal(await said('/core/lookup?k=dying'), 'none')
  },
])

tests.push([
  'the core cache keeps objects with their facts, by program',
  async (t) => {
    const { said, sleep } = await stage(t)
    assert.equal(await said('/core/insert?k=a&v=0123456789'), 'inserted')
    assert.equal(await said('/core/lookup?k=a'), 'found usable|0123456789|10|60000|meta|1|0')
    assert.equal(await said('/core/lookup?k=a&from=2&to=4'), 'found usable|234|10|60000|meta|2|0')
    assert.equal(await said('/core/lookup?k=b'), 'none')
    const other = await stage(t, undefined, 'another')
    assert.equal(await other.said('/core/lookup?k=a'), 'none')
    sleep(70)
    assert.match(await said('/core/lookup?k=a'), /^found usable stale\|0123456789/)
    sleep(60)
    assert.match(await said('/core/lookup?k=a'), /^(?:none|nothing)$/)
  },
])

tests.push([
  'what varies is found by the very fields it was stored for',
  async (t) => {
    const { said } = await stage(t)
    await said('/core/insert?k=v&v=red&vary=1', { headers: ['x-kind', 'red'] })
    await said('/core/insert?k=v&v=blue&vary=1', { headers: ['x-kind', 'blue'] })
    assert.match(await said('/core/lookup?k=v', { headers: ['x-kind', 'red'] }), /\|red\|/)
    assert.match(await said('/core/lookup?k=v', { headers: ['x-kind', 'blue'] }), /\|blue\|/)
    assert.equal(await said('/core/lookup?k=v', { headers: ['x-kind', 'green'] }), 'none')
  },
])

tests.push([
  'purges by key are exact: hard ones remove, soft ones make stale',
  async (t) => {
    const { said, cache } = await stage(t)
    await said('/core/insert?k=p&v=kept')
    assert.equal(await said('/purge?key=three'), 'purged')
    assert.match(await said('/core/lookup?k=p'), /^found usable\|/)
    await said('/purge?key=two&soft=1')
    assert.match(await said('/core/lookup?k=p'), /^found usable stale\|/)
    await said('/purge?key=one')
    assert.equal(await said('/core/lookup?k=p'), 'none')
    await said('/core/insert?k=p&v=kept')
    await cache.purge([{ scope: 'cacher', soft: false, what: { kind: 'everything' } }])
    assert.equal(await said('/core/lookup?k=p'), 'none')
  },
])

tests.push([
  'one brings it, the others read along while it arrives',
  async (t) => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const asked = Promise.withResolvers<void>()
    const { said, origin } = await stage(t, (_request, response) => {
      asked.resolve()
      void held.then(() => response.end('rest'))
    })
    const leader = said('/core/collapse')
    await asked.promise
    const others = [said('/core/collapse'), said('/core/collapse')]
    release()
    assert.equal(await leader, 'brought first rest')
    assert.deepEqual(await Promise.all(others), ['joined first rest', 'joined first rest'])
    assert.equal(origin.asked.length, 1)
  },
])

tests.push([
  'where the one who is to bring it fails, the next takes over',
  async (t) => {
    const waiting: (() => void)[] = []
    const arrived = Promise.withResolvers<void>()
    const { ask, said, origin } = await stage(t, (_request, response) => {
      waiting.push(() => response.end('x'))
      arrived.resolve()
      if (waiting.length > 1) waiting[1]!()
    })
    const dying = ask('/core/cancel?die=1')
    await arrived.promise
    const next = said('/core/cancel')
    waiting[0]!()
    assert.equal((await dying).status, 500)
    assert.equal(await next, 'second brought')
    assert.equal(origin.asked.length, 2)
    assert.equal(await said('/core/cancel'), 'found second')
  },
])

tests.push([
  'a stale object is updated without its body',
  async (t) => {
    const { said, sleep } = await stage(t)
    assert.equal(await said('/core/update'), 'must')
    sleep(20)
    assert.equal(await said('/core/update'), 'found usable stale must|old body')
    sleep(500)
    assert.equal(await said('/core/update'), 'found usable|old body')
  },
])

tests.push([
  'half an object is none',
  async (t) => {
    const { said } = await stage(t)
    assert.equal(await said('/core/unclosed'), 'left')
    assert.equal(await said('/core/lookup?k=unclosed'), 'none')
  },
])

tests.push([
  'sensitive objects are found, and are not on disk',
  async (t) => {
    const { said, onDisk } = await stage(t)
    assert.equal(await said('/core/secret'), 'kept')
    assert.match(await said('/core/lookup?k=secret'), /\|card number\|/)
    await said('/core/insert?k=plain&v=ordinary-object')
    while (!onDisk().includes('ordinary-object')) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(onDisk().includes('card number'), false)
  },
])
