/** `caches` and the cache options of `fetch()`, in shared cells and in cells of their own. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { EgressRequest } from '#/core/ports.ts'
import { bodyText, openStage, plain, type Stage } from './engine-stage.ts'
import { openOwnEngine } from './own-engine.ts'

const page = 'https://a.example/x?y'

const cases: readonly { readonly what: string; readonly run: string; readonly expect: string | RegExp }[] = [
  {
    what: 'put, match, delete',
    run: `await caches.default.put(url, new Response('kept', { status: 203, headers: { 'x-one': '1', 'cache-control': 'max-age=9' } }))
      const found = await caches.default.match(new Request(url))
      const told = [found.status, found.headers.get('x-one'), found.headers.get('cf-cache-status'), await found.text()]
      return [...told, await caches.default.delete(url), await caches.default.delete(url), typeof await caches.default.match(url)]`,
    expect: '[203,"1","HIT","kept",true,false,"undefined"]',
  },
  {
    what: 'named caches are apart',
    run: `const a = await caches.open('a b/ü'), b = await caches.open('b')
      await a.put(url, new Response('a'))
      return [await (await a.match(url)).text(), typeof await b.match(url), typeof await caches.default.match(url)]`,
    expect: '["a","undefined","undefined"]',
  },
  {
    what: 'a streamed body',
    run: `const { readable, writable } = new TransformStream()
      const writer = writable.getWriter()
      const write = (async () => { for (const part of ['one ', 'two']) await writer.write(new TextEncoder().encode(part)); await writer.close() })()
      await Promise.all([caches.default.put(url, new Response(readable)), write])
      return [await (await caches.default.match(url)).text()]`,
    expect: '["one two"]',
  },
  {
    what: 'a fetched answer in a coding, and what is made of a clone',
    run: `const response = await fetch('https://zipped.example/')
      await caches.default.put(url, response.clone())
      const found = await caches.default.match(url)
      return [await response.text(), found.headers.get('content-encoding'), await found.text()]`,
    expect: '["zipped","gzip","zipped"]',
  },
  {
    what: 'several cookies, and a status without body',
    run: `const headers = new Headers([['set-cookie', 'a=1'], ['set-cookie', 'b=2']])
      await caches.default.put(url, new Response(null, { status: 204, headers }))
      const found = await caches.default.match(url)
      return [found.status, found.headers.getSetCookie()]`,
    expect: '[204,["a=1","b=2"]]',
  },
  {
    what: 'what put refuses',
    run: `const table = [
        [new Request(url, { method: 'POST' }), new Response('x')],
        [url, new Response('x', { status: 206 })],
        [url, new Response('x', { headers: { vary: '*' } })],
        ['nonsense', new Response('x')],
      ]
      const told = []
      for (const [request, response] of table)
        told.push(await caches.default.put(request, response).then(() => 'taken', (error) => error.name + ': ' + error.message))
      return told`,
    expect:
      /^\["TypeError: Cannot cache response to non-GET request\.","TypeError: Cannot cache response to a range request \(206 Partial Content\)\.","TypeError: Cannot cache response with 'Vary: \*' header\.","TypeError: .*nvalid URL/,
  },
  {
    what: 'ignoreMethod',
    run: `await caches.default.put(url, new Response('kept'))
      const post = new Request(url, { method: 'POST' })
      const found = await caches.default.match(post, { ignoreMethod: true })
      return [typeof await caches.default.match(post), await found.text(), await caches.default.delete(post), await caches.default.delete(post, { ignoreMethod: true })]`,
    expect: '["undefined","kept",false,true]',
  },
  {
    what: 'another program is not reached by its name in a field',
    run: `await caches.default.put(new Request(url, { headers: { 'rimward-id': 'other', 'rimward-kind': 'kv' } }), new Response('mine'))
      return [await (await caches.default.match(url)).text()]`,
    expect: '["mine"]',
  },
  { what: 'nothing of it in env', run: 'return Object.keys(env).filter((name) => name.includes(":"))', expect: '[]' },
]

const placements = [
  { what: 'shared cells', cpuMs: undefined },
  { what: 'cells of their own', cpuMs: 300_000 },
]

for (const { what, cpuMs } of placements)
  describe(what, () => {
    let stage: Stage
    let asked: EgressRequest[] = []
    before(async () => {
      stage = await openStage({}, { ownCells: openOwnEngine })
      stage.egress = async (request) => {
        asked.push(request)
        if (!request.url.startsWith('https://zipped')) return plain(200, 'outside')
        const body = gzipSync('zipped')
        return { status: 200, headers: ['content-encoding', 'gzip', 'content-length', String(body.length)], body }
      }
    })
    after(() => stage.close())

    async function run(name: string, code: string): Promise<string> {
      const main = `export default { async fetch(request, env, ctx) {
        const url = ${JSON.stringify(page)}
        return Response.json(await (async () => { ${code} })())
      } }`
      await stage.add({ name, modules: { 'main.js': main }, ...(cpuMs === undefined ? {} : { cpuMs }) })
      return bodyText(await stage.fetch(name, '/'))
    }

    for (const [index, one] of cases.entries())
      test(one.what, async () => {
        const told = await run(`case-${index}`, one.run)
        if (typeof one.expect === 'string') assert.equal(told, one.expect)
        else assert.match(told, one.expect)
      })

    test('programs are apart', async () => {
      await run('one', "await caches.default.put(url, new Response('one')); return 1")
      assert.equal(await run('two', 'return typeof await caches.default.match(url)'), '"undefined"')
    })

    test('cache options of fetch() reach the egress, and nothing of them the origin', async () => {
      asked = []
      const cf = { cacheTtl: 60, cacheEverything: true, cacheTags: ['a'], cacheKey: 'k' }
      const headers = { 'rimward-cf': '{"cacheTtl":9}' }
      await run(
        'options',
        `await fetch(url, ${JSON.stringify({ cf, headers })}); await fetch(url, ${JSON.stringify({ headers })}); return 1`,
      )
      assert.deepEqual(
        asked.map(({ cache }) => cache),
        [{ everything: true, ttl: 60, key: 'k', tags: ['a'] }, { policy: { defaultTtl: 0 } }],
      )
      for (const { headers } of asked) assert.doesNotMatch(headers.join(), /rimward|cacheTtl/)
      assert.match(await run('image', 'return (await fetch(url, { cf: { image: { width: 1 } } })).text()'), /cf\.image/)
    })
  })
