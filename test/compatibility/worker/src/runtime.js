import { env as importedEnv, waitUntil } from 'cloudflare:workers'
import { AsyncLocalStorage } from 'node:async_hooks'
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import wasm from './add.wasm'
import data from './data.json'
import { equal, rejects } from './expect.js'
import bytes from './four.bin'
import legacy from './legacy.cjs'
import text from './note.txt'

export const runtimeChecks = {
  async 'modules-text'() {
    equal(text.trim(), 'a text module')
  },
  async 'modules-data'() {
    equal([...new Uint8Array(bytes)], [1, 2, 3, 4])
  },
  async 'modules-json'() {
    equal(data, { json: true })
  },
  async 'modules-wasm'() {
    equal((await WebAssembly.instantiate(wasm)).exports.add(20, 22), 42)
  },
  async 'modules-commonjs'() {
    equal(legacy.twice(4), 8)
  },
  async vars(env) {
    equal(env.GREETING, 'hello')
  },
  async 'vars-json'(env) {
    equal(env.NESTED, { a: [1, 2, { b: null }] })
  },
  async 'env-import'() {
    equal(importedEnv.GREETING, 'hello')
    equal(typeof importedEnv.KV.get, 'function')
    waitUntil(Promise.resolve())
  },
  async secret(env) {
    equal(env.TOKEN, 's3cret')
  },
  async 'version-metadata'(env) {
    equal(/^[0-9a-f-]{36}$/.test(env.VERSION.id), true, `id ${env.VERSION.id}:`)
    equal(Number.isNaN(Date.parse(env.VERSION.timestamp)), false, `timestamp ${env.VERSION.timestamp}:`)
    equal(typeof env.VERSION.tag, 'string')
  },
  async 'node-compat'() {
    equal(createHash('sha256').update('x').digest('hex').slice(0, 8), '2d711642')
    equal(Buffer.from('aGk=', 'base64').toString(), 'hi')
    const storage = new AsyncLocalStorage()
    equal(await storage.run(7, async () => storage.getStore()), 7)
  },
  async 'web-crypto'() {
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode('x'))
    equal(new Uint8Array(digest)[0], 0x2d)
    equal(crypto.randomUUID().length, 36)
  },
  async 'html-rewriter'() {
    const rewriter = new HTMLRewriter().on('p', {
      element(element) {
        element.setAttribute('class', 'x')
      },
    })
    equal(await rewriter.transform(new Response('<p>a</p>')).text(), '<p class="x">a</p>')
  },
  async streams() {
    const { readable, writable } = new TransformStream()
    const writer = writable.getWriter()
    writer.write(new TextEncoder().encode('through'))
    writer.close()
    equal(await new Response(readable).text(), 'through')
    const packed = new Response('zip me'.repeat(100)).body.pipeThrough(new CompressionStream('gzip'))
    equal((await new Response(packed.pipeThrough(new DecompressionStream('gzip'))).text()).length, 600)
  },
  async 'web-standards'() {
    equal(new URLPattern({ pathname: '/a/:id' }).exec({ pathname: '/a/7' }).pathname.groups.id, '7')
    equal(structuredClone(new Map([['a', 1]])).get('a'), 1)
    await rejects(async () => AbortSignal.abort(new Error('stop')).throwIfAborted(), 'stop')
    const target = new EventTarget()
    let seen = 0
    target.addEventListener('x', () => seen++)
    target.dispatchEvent(new Event('x'))
    equal(seen, 1)
  },
  async timers() {
    const before = Date.now()
    await scheduler.wait(20)
    await new Promise((resolve) => setTimeout(resolve, 5))
    equal(Date.now() - before >= 20, true)
  },
  async 'fetch-refuses-loopback'() {
    const response = await fetch('http://127.0.0.1:1/').catch((error) => error)
    equal(response instanceof Error || response.status === 403, true, `got ${response.status}:`)
  },
  async 'fetch-own-platform'() {
    const response = await fetch('http://compat-neighbour.localhost/')
    equal([response.status, (await response.text()).includes('1042')], [404, true])
  },
  async 'cache-api'() {
    const key = 'https://cache.example/page?one'
    const named = await caches.open('named')
    await caches.default.put(key, new Response('kept', { headers: { 'x-one': '1', 'cache-control': 'max-age=60' } }))
    const found = await caches.default.match(new Request(key))
    equal([found.status, found.headers.get('x-one'), found.headers.get('cf-cache-status')], [200, '1', 'HIT'])
    equal(await found.text(), 'kept')
    equal(await named.match(key), undefined)
    equal(await caches.default.match('https://cache.example/page?two'), undefined)
    const post = new Request(key, { method: 'POST' })
    equal(await caches.default.match(post), undefined)
    equal(await (await caches.default.match(post, { ignoreMethod: true })).text(), 'kept')
    equal([await caches.default.delete(key), await caches.default.delete(key)], [true, false])
  },
  async 'cache-api-rules'() {
    const key = 'https://cache.example/rules'
    const put = (init, request = key) => caches.default.put(request, new Response('hello', init))
    await rejects(() => put({}, new Request(key, { method: 'POST' })), 'non-GET')
    await rejects(() => put({ status: 206 }), '206')
    await rejects(() => put({ headers: { vary: '*' } }), 'Vary')
    for (const headers of [
      { 'cache-control': 'no-store' },
      { 'cache-control': 'max-age=0' },
      { 'set-cookie': 'a=1' },
    ]) {
      await put({ headers })
      equal(await caches.default.match(key), undefined)
    }
    await put({ headers: { etag: '"a"' } })
    const ask = async (headers) => (await caches.default.match(new Request(key, { headers }))).status
    equal(await ask({ range: 'bytes=1-2' }), 206)
    equal(await ask({ 'if-none-match': '"a"' }), 304)
    await caches.default.delete(key)
  },
  async 'fetch-cf-cache'() {
    const cf = { cacheTtl: 60, cacheEverything: true, cacheKey: 'k', cacheTags: ['a'], cacheTtlByStatus: { 404: 1 } }
    // The address is refused, but the options are read first.
    const response = await fetch('http://127.0.0.1:1/', { cf }).catch((error) => error)
    equal(response instanceof Error || response.status === 403, true, `got ${response.status}:`)
  },
  async 'fetch-cf-refused'() {
    for (const cf of [{ image: { width: 1 } }, { resolveOverride: 'a.example' }, { cacheTtl: 'x' }]) {
      const response = await fetch('http://127.0.0.1:1/', { cf })
      equal([response.status, (await response.text()).includes(`cf.${Object.keys(cf)[0]}`)], [400, true])
    }
  },
  async 'fetch-cf-hints'() {
    const cf = { mirage: true, polish: 'lossy', scrapeShield: false, apps: false, minify: { javascript: true } }
    const response = await fetch('http://127.0.0.1:1/', { cf }).catch((error) => error)
    equal(response instanceof Error || response.status === 403, true, `got ${response.status}:`)
  },
}
