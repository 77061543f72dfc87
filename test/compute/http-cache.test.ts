/** The HTTP cache that newer SDKs drive themselves, with their hooks before and after a request is sent. */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import type { ProgramAnswer, ProgramRequest } from '#/core/ports.ts'
import { textOf } from '#/engines/compute/compute.fixture.ts'
import { headerValue } from '#/http/header-list.ts'
import { type BackendStage, compileScript, openBackends, openOrigin } from '../support/compute.ts'

const source = `
import { CacheOverride } from 'fastly:cache-override'
const send = (event, cacheOverride) => {
  const { pathname, search } = new URL(event.request.url)
  const headers = {}
  for (const name of ['range', 'if-none-match', 'x-kind']) if (event.request.headers.get(name)) headers[name] = event.request.headers.get(name)
  return fetch('http://origin.test' + pathname + search, { backend: 'origin', method: event.request.method, headers, ...(cacheOverride ? { cacheOverride } : {}) })
}
const hooks = {
  '/hooks': { beforeSend(request) { request.headers.set('x-before', 'set') }, afterSend(response) { response.headers.set('x-after', 'set'); response.ttl = 1000; response.surrogateKeys = ['hooked']; return { cache: true } } },
  '/upper': { afterSend() { return { cache: true, bodyTransformFn: (bytes) => new TextEncoder().encode(new TextDecoder().decode(bytes).toUpperCase()) } } },
  '/never': { afterSend() { return { cache: 'uncacheable' } } },
}
addEventListener('fetch', (event) => event.respondWith((async () => {
  const hook = hooks[new URL(event.request.url).pathname]
  let answer
  try { answer = await send(event, hook ? new CacheOverride(hook) : undefined) } catch (error) { return new Response(String(error) + error.stack, { status: 599 }) }
  answer.headers.set('x-cached', String(answer.cached))
  return answer
})()))
`

let opened: BackendStage
let wasm: Uint8Array
const tests: [string, (t: TestContext) => Promise<void>][] = []

test('the HTTP cache of newer SDKs', async (t) => {
  wasm = await compileScript(source, '--enable-http-cache')
  opened = await openBackends(t, { computeCpuMs: 5_000 })
  for (const [name, run] of tests) await t.test(name, run)
})

async function stage(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const origin = await openOrigin(t, answer)
  const program = opened.add('hooked', wasm, { backends: [origin.backend] })
  await opened.cache.purge([{ scope: 'hooked', soft: false, what: { kind: 'everything' } }])
  const ask = (path: string, more?: Partial<ProgramRequest>): Promise<ProgramAnswer> => opened.ask(program, path, more)
  return {
    ...opened,
    origin,
    ask,
    async seen(path: string, more?: Partial<ProgramRequest>) {
      const answer = await ask(path, more)
      const of = (name: string) => headerValue(answer.headers, name)
      return `${answer.status} ${await textOf(answer)} ${of('x-cached')}`
    },
  }
}

tests.push([
  'an answer is stored and found, by its own words',
  async (t) => {
    let count = 0
    const { seen, sleep, origin } = await stage(t, (_request, response) => {
      response.setHeader('cache-control', 'max-age=60').end(`body ${++count}`)
    })
    assert.equal(await seen('/plain'), '200 body 1 false')
    assert.equal(await seen('/plain'), '200 body 1 true')
    assert.equal(await seen('/plain', { headers: ['range', 'bytes=0-3'] }), '206 body true')
    sleep(61)
    assert.equal(await seen('/plain'), '200 body 2 false')
    assert.equal(origin.asked.length, 2)
  },
])

tests.push([
  'a stale answer is confirmed by its validator',
  async (t) => {
    const { seen, sleep, origin } = await stage(t, (request, response) => {
      response.setHeader('cache-control', 'max-age=10').setHeader('etag', '"one"')
      if (request.headers['if-none-match'] === '"one"') response.writeHead(304).end()
      else response.end('the body')
    })
    assert.equal(await seen('/valid'), '200 the body false')
    sleep(11)
    assert.match(await seen('/valid'), /^200 the body/)
    assert.deepEqual(
      origin.asked.map(({ headers }) => headers['if-none-match']),
      [undefined, '"one"'],
    )
    assert.equal(await seen('/valid'), '200 the body true')
    assert.match(await seen('/valid', { headers: ['if-none-match', '"one"'] }), /^304 /)
  },
])

tests.push([
  'hooks change what is sent, what is stored and for how long',
  async (t) => {
    const { ask, seen, origin, cache } = await stage(t, (_request, response) => {
      response.setHeader('cache-control', 'max-age=0').end('hook me')
    })
    await textOf(await ask('/hooks'))
    assert.equal(origin.asked[0]!.headers['x-before'], 'set')
    const again = await ask('/hooks')
    assert.deepEqual(
      [await textOf(again), headerValue(again.headers, 'x-after'), headerValue(again.headers, 'x-cached')],
      ['hook me', 'set', 'true'],
    )
    await cache.purge([{ scope: 'hooked', soft: false, what: { kind: 'tag', tag: 'hooked' } }])
    assert.equal(await seen('/hooks'), '200 hook me false')
    assert.equal(await seen('/hooks'), '200 hook me true')
    await cache.purge([{ scope: 'hooked', soft: false, what: { kind: 'url', url: 'http://origin.test/hooks' } }])
    assert.equal(await seen('/hooks'), '200 hook me false')
  },
])

tests.push([
  'a hook changes the body once for all',
  async (t) => {
    const { seen, origin } = await stage(t, (_request, response) => {
      response.setHeader('cache-control', 'max-age=60')
      response.write('lower ')
      response.end('case')
    })
    assert.match(await seen('/upper'), /^200 LOWER CASE /)
    assert.equal(await seen('/upper'), '200 LOWER CASE true')
    assert.equal(origin.asked.length, 1)
  },
])

tests.push([
  'what is not to be cached is passed, and remembered as such',
  async (t) => {
    const { seen, origin } = await stage(t, (_request, response) => {
      response.setHeader('cache-control', 'max-age=60').end('mine')
    })
    for (let round = 1; round <= 3; round++) {
      assert.equal(await seen('/never'), '200 mine false')
      assert.equal(origin.asked.length, round)
    }
  },
])

tests.push([
  'answers vary by the fields that they name',
  async (t) => {
    const { seen } = await stage(t, (request, response) => {
      response.setHeader('cache-control', 'max-age=60').setHeader('vary', 'x-kind')
      response.end(String(request.headers['x-kind']))
    })
    assert.equal(await seen('/vary', { headers: ['x-kind', 'red'] }), '200 red false')
    assert.equal(await seen('/vary', { headers: ['x-kind', 'blue'] }), '200 blue false')
    assert.equal(await seen('/vary', { headers: ['x-kind', 'red'] }), '200 red true')
  },
])

tests.push([
  'while it is revalidated, and where the backend fails, a stale answer serves',
  async (t) => {
    let status = 200
    let count = 0
    const { seen, sleep, origin } = await stage(t, (_request, response) => {
      response.setHeader('cache-control', 'max-age=10, stale-while-revalidate=20, stale-if-error=1000')
      response.writeHead(status).end(`answer ${++count}`)
    })
    assert.equal(await seen('/stale'), '200 answer 1 false')
    sleep(15)
    assert.equal(await seen('/stale'), '200 answer 1 true')
    while ((await seen('/stale')) !== '200 answer 2 true') assert.ok(origin.asked.length <= 2)
    sleep(100)
    status = 503
    origin.server.closeAllConnections()
    origin.server.close()
    assert.match(await seen('/stale'), /^200 answer 2/)
  },
])

tests.push([
  'a POST is not looked up',
  async (t) => {
    const { seen, origin } = await stage(t, (_request, response) => response.end('posted'))
    await seen('/post', { method: 'POST' })
    await seen('/post', { method: 'POST' })
    assert.equal(origin.asked.length, 2)
  },
])
