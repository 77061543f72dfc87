/** Purges are exact: what was fetched before one never answers after it, wherever it was and whatever was under way. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openPurgeJournal } from '#/cache/purge-journal.ts'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { gate, say } from './support/delivery.ts'
import { temporaryFolder, until } from './support/node.ts'
import { openCache, textOf } from './support/shared-cache.ts'

const fresh = { 'cache-control': 'max-age=600' }

const rows: readonly [string, PurgeWish['what'], string | undefined, readonly string[]][] = [
  ['a URL', { kind: 'url', url: 'http://shop.localhost/a/1' }, undefined, ['/a/1']],
  ['a URL as HTTPS and with a default port', { kind: 'url', url: 'https://SHOP.localhost:443/a/1' }, 'shop', ['/a/1']],
  ['a URL of another site', { kind: 'url', url: 'http://shop.localhost/a/1' }, 'other', []],
  ['a tag of Surrogate-Key', { kind: 'tag', tag: 'odd' }, 'shop', ['/a/1', '/b/3']],
  ['a tag of Cache-Tag, in any case', { kind: 'tag', tag: 'Even' }, undefined, ['/a/2', '/b/4']],
  ['a prefix', { kind: 'prefix', prefix: 'shop.localhost/a/' }, undefined, ['/a/1', '/a/2']],
  ['a prefix with a scheme', { kind: 'prefix', prefix: 'https://shop.localhost/b' }, 'shop', ['/b/3', '/b/4']],
  ['a prefix of another scope', { kind: 'prefix', prefix: 'shop.localhost/' }, 'other', []],
  ['a host', { kind: 'host', host: 'shop.localhost' }, undefined, ['/a/1', '/a/2', '/b/3', '/b/4']],
  ['another host', { kind: 'host', host: 'localhost' }, undefined, []],
  ['everything of the site', { kind: 'everything' }, 'shop', ['/a/1', '/a/2', '/b/3', '/b/4']],
  ['everything of another', { kind: 'everything' }, 'other', []],
  ['everything', { kind: 'everything' }, undefined, ['/a/1', '/a/2', '/b/3', '/b/4']],
]

for (const soft of [false, true])
  for (const [what, wish, scope, gone] of rows)
    test(`${soft ? 'soft' : 'hard'} purge of ${what}`, async (t) => {
      const { origin, line, purge } = await openCache(t)
      const paths = ['/a/1', '/a/2', '/b/3', '/b/4']
      for (const path of paths) {
        const odd = Number(path.at(-1)) % 2 === 1
        const tags = odd ? { 'surrogate-key': 'all odd' } : { 'cache-tag': 'all, EVEN' }
        origin.on(path, say({ ...fresh, ...tags, etag: '"v"' }))
        assert.match(await line(path), /miss$/)
        assert.match(await line(path), /hit$/)
      }
      await purge(wish, { soft, ...(scope !== undefined && { scope }) })
      for (const path of paths) {
        const expected = gone.includes(path) ? (soft ? 'expired' : 'miss') : 'hit'
        assert.equal(await line(path), `200 hello ${expected}`, path)
        assert.match(await line(path), /hit$/)
        const validated = origin.seen(path).some(({ headers }) => headers['if-none-match'] !== undefined)
        assert.equal(validated, soft && gone.includes(path))
      }
    })

test('a soft purge lets stale-while-revalidate and stale-if-error serve on', async (t) => {
  const { origin, line, purge } = await openCache(t)
  origin.on('/swr', say({ 'cache-control': 'max-age=600, stale-while-revalidate=60' }))
  origin.on('/sie', say({ 'cache-control': 'max-age=600, stale-if-error=60' }))
  await line('/swr')
  await line('/sie')
  await purge({ kind: 'everything' }, { soft: true })
  assert.equal(await line('/swr'), '200 hello stale')
  await until(async () => (await line('/swr')) === '200 hello hit', 'the background fetch')
  assert.equal(origin.seen('/swr').length, 2)
  await origin.stop()
  assert.equal(await line('/sie'), '200 hello stale')
  await purge({ kind: 'everything' })
  await assert.rejects(line('/sie'), { code: 'origin_refused' })
})

test('all variants and parts of a URL go', async (t) => {
  const { origin, line, purge } = await openCache(t)
  origin.on('/v', (asked, answer) => {
    if (asked.headers.range === undefined) answer.writeHead(200, { ...fresh, vary: 'x-kind' }).end('whole')
    else answer.writeHead(206, { ...fresh, vary: 'x-kind', 'content-range': 'bytes 0-1/5' }).end('wh')
  })
  const asks = [{ headers: ['x-kind', 'a'] }, { headers: ['x-kind', 'b'] }, { headers: ['range', 'bytes=0-1'] }]
  for (const options of asks) await line('/v', options)
  for (const options of asks) assert.match(await line('/v', options), /hit$/)
  await purge({ kind: 'url', url: 'http://shop.localhost/v' })
  for (const options of asks) assert.match(await line('/v', options), /miss$/)
})

for (const when of ['before its head', 'within its body'] as const)
  test(`a purge while a fetch is ${when}: what it brings is not kept, and no newcomer gets it`, async (t) => {
    const { origin, fetch, line, purge } = await openCache(t)
    const rest = gate()
    origin.on('/race', async (_asked, answer, count) => {
      if (count > 1) return void answer.writeHead(200, { ...fresh, 'surrogate-key': 'k' }).end('new')
      if (when === 'before its head') await rest.opened
      answer.writeHead(200, { ...fresh, 'surrogate-key': 'k' })
      answer.write('o')
      await rest.opened
      answer.end('ld')
    })
    const old = fetch('/race')
    if (when === 'within its body') await old
    else await until(() => origin.seen('/race').length === 1, 'the request is at the origin')
    await purge({ kind: 'tag', tag: 'k' })
    const newcomer = line('/race')
    if (when === 'within its body') assert.equal(await newcomer, '200 new miss')
    rest.open()
    assert.match(await newcomer, /^200 new/)
    assert.equal(await textOf(await old), 'old')
    assert.equal(await line('/race'), '200 new hit')
  })

test('a purge while a revalidation is under way: its 304 does not bring the old body back', async (t) => {
  const { origin, fetch, line, purge } = await openCache(t)
  const rest = gate()
  origin.on('/valid', async (asked, answer) => {
    if (asked.headers['if-none-match'] === undefined)
      return void answer.writeHead(200, { 'cache-control': 'max-age=5', age: '9', etag: '"v"' }).end('body')
    await rest.opened
    answer.writeHead(304, { ...fresh, etag: '"v"' }).end()
  })
  await line('/valid')
  const validating = fetch('/valid')
  await until(() => origin.seen('/valid').length === 2, 'the validation is at the origin')
  await purge({ kind: 'url', url: 'http://shop.localhost/valid' })
  rest.open()
  await textOf(await validating)
  await line('/valid')
  assert.equal(origin.seen('/valid')[2]!.headers['if-none-match'], undefined)
})

test('a soft purge holds when it is no longer remembered', async (t) => {
  const { origin, line, purge, store } = await openCache(t)
  origin.on('/soft', say({ ...fresh, etag: '"v"' }))
  await line('/soft')
  await purge({ kind: 'url', url: 'http://shop.localhost/soft' }, { soft: true })
  const marked = async () => [...(await store.find('s shop\nhttp://shop.localhost/soft'))][0]?.head.policy.staleSince
  await until(async () => (await marked()) !== undefined, 'the mark in the store')
  assert.equal(await line('/soft'), '200 hello expired')
  assert.equal(await line('/soft'), '200 hello hit')
})

test('a purge holds after the node was killed before the store carried it out', async (t) => {
  const folder = await temporaryFolder(t, 'journal')
  const first = await openCache(t)
  // The store outlives the node as a disk does, and is not searched any more once the node is dead.
  const died = Promise.withResolvers<void>()
  const removeWhere = () => {
    died.resolve()
    return Promise.reject(new Error('the node is dead'))
  }
  const dead = { ...first.store, removeWhere }
  const killed = await openCache(t, {}, { store: dead, journal: await openPurgeJournal(folder), origin: first.origin })
  first.origin.on('/kept', say(fresh))
  for (const outcome of ['miss', 'hit']) assert.equal(await killed.line('/kept'), `200 hello ${outcome}`)
  await killed.purge({ kind: 'url', url: 'http://shop.localhost/kept' })
  // A dead node does not touch its journal while the next one reads it.
  await died.promise
  const journal = await openPurgeJournal(folder)
  const again = await openCache(t, {}, { store: first.store, journal, origin: first.origin })
  assert.equal(await again.line('/kept'), '200 hello miss')
  assert.equal(await again.line('/kept'), '200 hello hit')
})

test('ten thousand purges of distinct tags a second do not slow hits', { timeout: 60_000 }, async (t) => {
  const { cache, origin, line, store } = await openCache(t)
  for (let index = 0; index < 1_000; index++) {
    origin.on(`/o${index}`, say({ ...fresh, 'surrogate-key': `t${index} all` }))
    await line(`/o${index}`)
  }
  let asked = 0
  const hits = async (times: number) => {
    // Of this process alone: the machine may have other work.
    const started = process.cpuUsage()
    for (let index = 0; index < times; index++) assert.match(await line(`/o${500 + (asked++ % 500)}`), /hit$/)
    const { user, system } = process.cpuUsage(started)
    return (user + system) / times
  }
  await hits(20_000)
  const calm = await hits(20_000)
  let purged = 0
  let longest = 0
  const purging = setInterval(() => {
    const started = performance.now()
    const wishes = Array.from({ length: 100 }, () => {
      purged++
      return {
        scope: 'shop',
        what: { kind: 'tag' as const, tag: `t${purged % 500 ? `x${purged}` : '1'}` },
        soft: false,
      }
    })
    void cache.purge(wishes).then(() => {
      longest = Math.max(longest, performance.now() - started)
    })
  }, 10)
  const times: number[] = []
  const end = Date.now() + 1_500
  while (Date.now() < end) {
    times.push(await hits(100))
    await new Promise((resolve) => setImmediate(resolve))
  }
  const busy = times.reduce((sum, time) => sum + time, 0) / times.length
  clearInterval(purging)
  t.diagnostic(
    `a hit costs ${calm.toFixed(1)} µs calm, ${busy.toFixed(1)} µs under ${purged} purges in 1.5 s; ` +
      `longest acknowledgement ${longest.toFixed(2)} ms`,
  )
  assert.ok(store.size.entries >= 998)
  assert.ok(busy < calm * 2, `${busy} against ${calm}`)
})
