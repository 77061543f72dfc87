/** Bodies and WebSockets through a shared cell and its backplane, in both directions. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { duplexPair, Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Answer } from '#/core/exchange.ts'
import { bodyText, openStage, plain, type Stage } from './engine-stage.ts'

let stage: Stage
before(async () => {
  stage = await openStage({ cells: 1, spareCells: 0 })
})
after(() => stage.close())

const handler = (body: string) => ({ 'main.js': `export default { async fetch(request, env, ctx) { ${body} } }` })
const megabyte = Buffer.alloc(1024 * 1024, 7)
const many = (count: number) =>
  Readable.from(
    Array.from({ length: count }, () => megabyte),
    { objectMode: false },
  )

async function whole({ body }: Answer): Promise<Buffer> {
  return body instanceof Readable ? Buffer.concat(await body.toArray()) : Buffer.from(body ?? [])
}

async function digest(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const part of stream) hash.update(part)
  return hash.digest('hex')
}

test('16 MiB go in and come back unchanged', { timeout: 20_000 }, async () => {
  await stage.add({ name: 'echo', modules: handler('return new Response(request.body)') })
  const answer = await stage.fetch('echo', '/', { method: 'POST', body: many(16) })
  assert.equal(await digest(answer.body as Readable), await digest(many(16)))
})

test('16 MiB go out by fetch and come back unchanged', { timeout: 20_000 }, async () => {
  await stage.add({ name: 'out', modules: handler("return fetch('https://out/', request)") })
  stage.egress = async ({ body }) => ({ status: 200, headers: [], body: body as Readable })
  const answer = await stage.fetch('out', '/', { method: 'POST', body: many(16) })
  assert.equal(await digest(answer.body as Readable), await digest(many(16)))
})

test('an answer that streams arrives piece by piece', { timeout: 10_000 }, async () => {
  await stage.add({
    name: 'pieces',
    modules: handler(`const { readable, writable } = new TransformStream(); const writer = writable.getWriter()
      const encoder = new TextEncoder(); const say = (text) => writer.write(encoder.encode(text))
      ctx.waitUntil((async () => { await say('one'); await fetch('https://wait/'); await say('two'); await writer.close() })())
      return new Response(readable)`),
  })
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  stage.egress = async () => {
    await held
    return plain(200, '')
  }
  const answer = await stage.fetch('pieces', '/')
  const parts: string[] = []
  for await (const part of answer.body as Readable) {
    parts.push(String(part))
    release()
  }
  assert.deepEqual(parts, ['one', 'two'])
})

test('a compressed answer from outside passes through as it is, and is read as text', { timeout: 10_000 }, async () => {
  const zipped = gzipSync('hello')
  stage.egress = async () => ({
    status: 200,
    headers: ['content-encoding', 'gzip', 'content-length', String(zipped.length)],
    body: zipped,
  })
  await stage.add({ name: 'pass', modules: handler("return fetch('https://zip/')") })
  const passed = await stage.fetch('pass', '/')
  assert.equal(gunzipSync(await whole(passed)).toString(), 'hello')
  await stage.add({ name: 'read', modules: handler("return new Response(await (await fetch('https://zip/')).text())") })
  assert.equal(await bodyText(await stage.fetch('read', '/')), 'hello')
})

test('redirects are followed by the runtime, as the program asks', { timeout: 10_000 }, async () => {
  stage.egress = async ({ url }) =>
    url.endsWith('/a') ? { status: 302, headers: ['location', 'https://x/b'], body: null } : plain(200, `at ${url}`)
  await stage.add({ name: 'follow', modules: handler("return fetch('https://x/a')") })
  assert.equal(await bodyText(await stage.fetch('follow', '/')), 'at https://x/b')
  await stage.add({ name: 'manual', modules: handler("return fetch('https://x/a', { redirect: 'manual' })") })
  assert.equal((await stage.fetch('manual', '/')).status, 302)
})

test('a WebSocket to the outside', { timeout: 10_000 }, async () => {
  const [near, far] = duplexPair()
  stage.egress = async ({ headers, wantsUpgrade }) => {
    assert.equal(wantsUpgrade, true)
    const key = headers[headers.findIndex((part) => /^sec-websocket-key$/i.test(part)) + 1]!
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    return { status: 101, headers: ['Sec-WebSocket-Accept', accept], body: null, upgraded: near }
  }
  await stage.add({
    name: 'ws',
    modules: handler(`const { webSocket } = await fetch('https://out/', { headers: { Upgrade: 'websocket' } })
      webSocket.accept(); const said = new Promise((resolve) => webSocket.addEventListener('message', (e) => resolve(e.data)))
      return new Response(await said)`),
  })
  const pending = stage.fetch('ws', '/')
  far.write(Buffer.from([0x81, 2, 0x68, 0x69]))
  assert.equal(await bodyText(await pending), 'hi')
  far.destroy()
  await once(far, 'close')
})
