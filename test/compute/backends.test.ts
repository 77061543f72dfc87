/** What a program may settle about its backends: framing of its own, keepalive, HTTP/2 for gRPC, health checks. */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createHttp2, createSecureServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo, Server, Socket } from 'node:net'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import type { Answer } from '#/core/exchange.ts'
import type { ProgramAnswer } from '#/core/ports.ts'
import { trailersOf } from '#/core/trailers.ts'
import { selfSigned } from '#/edge/self-signed.fixture.ts'
import { assemble, program, textOf } from '#/engines/compute/compute.fixture.ts'
import { headerValue } from '#/http/header-list.ts'
import { type BackendStage, compileScript, openBackends, openOrigin } from '../support/compute.ts'
import { until } from '../support/node.ts'

const source = `
import { Backend } from 'fastly:backend'
import { SecretStore } from 'fastly:secret-store'
import { allowDynamicBackends } from 'fastly:experimental'
allowDynamicBackends(true)
const bytes = (text) => new TextEncoder().encode(text)
const streamOf = (text) => new ReadableStream({ start(c) { for (const x of text) c.enqueue(bytes(x)); c.close() } })
const post = (body, headers) => fetch('http://origin.test/framed', { backend: 'origin', method: 'POST', body, headers, manualFramingHeaders: true })
const told = (work) => work.then(async (r) => new Response(await r.text()), (error) => new Response('failed: ' + error))
const routes = {
  '/shorter': () => told(post('meow', { 'content-length': '1' })),
  '/streamed': () => told(post(streamOf('meow'), { 'content-length': '3' })),
  '/longer': () => told(post('meow', { 'content-length': '10' })),
  '/exact': () => told(post('meow', { 'content-length': '4' })),
  '/chunked': () => told(post('meow', { 'transfer-encoding': 'chunked' })),
  '/nonsense': () => told(post('meow', { 'content-length': 'four' })),
  '/answer': ({ url }) => {
    const asked = new URL(url).searchParams
    const headers = { 'content-length': asked.get('length') }
    return new Response(asked.has('stream') ? streamOf('meow') : 'meow', { manualFramingHeaders: true, headers })
  },
  '/facts': () => {
    const facts = ({ httpKeepaliveTime, tcpKeepalive }) => [httpKeepaliveTime, tcpKeepalive]
    return Response.json([
      facts(new Backend({ name: 'plain', target: 'origin.test' })),
      facts(new Backend({ name: 'probed', target: 'origin.test', tcpKeepalive: { timeSecs: 7, probes: 2 } })),
      facts(new Backend({ name: 'kept', target: 'origin.test', httpKeepalive: 500 })),
      facts(Backend.fromName('origin')),
    ])
  },
  '/unused-certificate': () => new Response(new Backend({ name: 'clear', target: 'origin.test', clientCertificate: { certificate: 'a', key: SecretStore.fromBytes(bytes('b')) } }).toName()),
  '/grpc': async ({ headers, body }) => {
    const ca = headers.get('x-ca')
    const tls = ca ? { useSSL: true, caCertificate: decodeURIComponent(ca), certificateHostname: 'grpc.test', sniHostname: 'grpc.test' } : {}
    const backend = new Backend({ name: 'grpc', target: headers.get('x-target'), grpc: true, ...tls })
    try {
      return await fetch('http://grpc.test/pets.Shop/Find', { backend, method: 'POST', headers: { 'content-type': 'application/grpc', te: 'trailers' }, body })
    } catch (error) { return new Response('failed: ' + error) }
  },
}
addEventListener('fetch', (event) => event.respondWith((async () => routes[new URL(event.request.url).pathname](event.request))()))
`

const tests: [string, (t: TestContext) => Promise<void>][] = []
let opened: BackendStage
let wasm: Uint8Array

test('backends as a program wants them', async (t) => {
  wasm = await compileScript(source)
  opened = await openBackends(t, { computeCpuMs: 5_000 })
  for (const [name, run] of tests) await t.test(name, run)
})

async function stage(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => void = () => {}) {
  const origin = await openOrigin(t, answer)
  const trusted = opened.add('trusted', wasm, { backends: [origin.backend] })
  return { origin, ask: (path: string, more = {}): Promise<ProgramAnswer> => opened.ask(trusted, path, more) }
}

/** `length body`, as the origin's framing gave them. */
function framing(request: IncomingMessage, response: ServerResponse): void {
  let body = ''
  request.on('data', (chunk) => {
    body += chunk
  })
  request.on('end', () =>
    response.end(`${request.headers['content-length'] ?? request.headers['transfer-encoding']} ${body}`),
  )
  request.on('error', () => {})
}

tests.push([
  'a program that frames its request is taken at its word, and never gets a byte beyond it out',
  async (t) => {
    const { ask, origin } = await stage(t, framing)
    assert.equal(await textOf(await ask('/exact')), '4 meow')
    assert.equal(await textOf(await ask('/shorter')), '1 m')
    assert.equal(await textOf(await ask('/streamed')), '3 meo')
    assert.equal(await textOf(await ask('/chunked')), 'chunked meow')
    assert.equal(await textOf(await ask('/nonsense')), '4 meow', 'nonsense is framed by the platform')
    assert.match(await textOf(await ask('/longer')), /^failed: /)
    const longer = origin.asked.filter(({ headers }) => headers['content-length'] === '10')
    assert.ok(
      longer.every(({ complete }) => !complete),
      'it was hung up before the announced end',
    )
    assert.equal(await textOf(await ask('/exact')), '4 meow')
  },
])

/** The body, and why it broke off. */
async function readAll({ body }: Answer): Promise<string> {
  let text = ''
  try {
    for await (const chunk of body instanceof Readable ? body : [body ?? '']) text += Buffer.from(chunk).toString()
  } catch {
    return `${text} broken`
  }
  return text
}

tests.push([
  'an answer too',
  async (t) => {
    const { ask } = await stage(t)
    for (const [path, length, text] of [
      ['/answer?length=4', '4', 'meow'],
      ['/answer?length=1', '1', 'm'],
      ['/answer?length=9', '9', 'meow broken'],
      ['/answer?stream&length=4', '4', 'meow'],
      ['/answer?stream&length=2', '2', 'me'],
      ['/answer?stream&length=9', '9', 'meow broken'],
    ] as const) {
      const answer = await ask(path)
      assert.deepEqual([headerValue(answer.headers, 'content-length'), await readAll(answer)], [length, text], path)
    }
  },
])

tests.push([
  'how long connections are kept, and probed, is told as it is',
  async (t) => {
    const { ask } = await stage(t)
    const usual = { timeSecs: 300, intervalSecs: 10, probes: 3 }
    assert.deepEqual(JSON.parse(await textOf(await ask('/facts'))), [
      [600_000, usual],
      [600_000, { ...usual, timeSecs: 7, probes: 2 }],
      [500, usual],
      [600_000, usual],
    ])
    assert.equal(await textOf(await ask('/unused-certificate')), 'clear')
  },
])

function listen(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)))
}

/** A gRPC service by hand: every message comes back, the status comes behind the body. */
function echo(stream: ServerHttp2Stream, headers: { readonly te?: string | string[] | undefined }): void {
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', 'x-te': String(headers.te) },
    { waitForTrailers: true },
  )
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.pipe(stream)
}

tests.push([
  'a backend for gRPC is asked over HTTP/2, messages flow both ways, and the status comes behind them',
  async (t) => {
    const { ask } = await stage(t)
    const { chain, key } = await selfSigned('grpc.test')
    const clear = createHttp2().on('stream', echo)
    const secure = createSecureServer({ cert: chain, key }).on('stream', echo)
    for (const [server, ca] of [
      [clear, undefined],
      [secure, chain],
    ] as const) {
      const headers = ['x-target', `127.0.0.1:${await listen(t, server)}`]
      if (ca !== undefined) headers.push('x-ca', encodeURIComponent(ca))
      const body = new Readable({ read() {} })
      const answering = ask('/grpc', { method: 'POST', body, headers: [...headers, 'transfer-encoding', 'chunked'] })
      body.push('one')
      const answer = await answering
      assert.equal(headerValue(answer.headers, 'x-te'), 'trailers')
      const stream = answer.body as Readable
      for await (const message of stream) {
        assert.equal(String(message), 'one', 'before the request ended')
        body.push(null)
      }
      assert.deepEqual(trailersOf(stream), ['grpc-status', '0'])
    }
  },
])

tests.push([
  'a backend for gRPC that does not speak HTTP/2 is no backend',
  async (t) => {
    const { ask, origin } = await stage(t, (_request, response) => response.end('HTTP/1'))
    const answer = await ask('/grpc', { method: 'POST', headers: ['x-target', `127.0.0.1:${origin.port}`] })
    assert.match(await textOf(answer), /^failed: /)
  },
])

/** Registers a backend with a health check; answers what came of it, of asking for its health, and of a request to it. */
const checking = (port: number, { timeoutMs = 900, window = 1 } = {}) => {
  const target = `127.0.0.1:${port}`
  const word = (at: number, value: number) => `(i32.store (i32.const ${at}) (i32.const ${value}))`
  const text = (at: number, pointer: number, length: number) => word(at, pointer) + word(at + 4, length)
  return program(
    `${word(6104, 7000)} ;; the backend: 6000, its health check: 7000
    ${word(7000, 1000)} ${word(7008, timeoutMs)} ${text(7016, 5000, 10)} ${text(7024, 5010, 3)} ${text(7032, 5013, 7)}
    ${word(7040, 204)} ${word(7044, window)} ${word(7048, 1)} ${word(7052, 0)}
    (i32.store (i32.const 100) (call $register
      (i32.const 5020) (i32.const 4) (i32.const 5100) (i32.const ${target.length}) (i32.const 0x40000) (i32.const 6000)))
    (i32.store (i32.const 104) (call $is_healthy (i32.const 5020) (i32.const 4) (i32.const 108)))
    (drop (call $req_new (i32.const 40)))
    (drop (call $uri_set (i32.load (i32.const 40)) (i32.const 5200) (i32.const 18)))
    (drop (call $body_new (i32.const 44)))
    (i32.store (i32.const 112) (call $fetch (i32.load (i32.const 40)) (i32.load (i32.const 44))
      (i32.const 5020) (i32.const 4) (i32.const 48) (i32.const 52)))
    (call $answer (i32.const 200) (i32.const 100) (i32.const 16))`,
    `(import "fastly_http_req" "register_dynamic_backend"
      (func $register (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "fastly_http_req" "new" (func $req_new (param i32) (result i32)))
    (import "fastly_http_req" "uri_set" (func $uri_set (param i32 i32 i32) (result i32)))
    (import "fastly_http_req" "send" (func $fetch (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "fastly_backend" "is_healthy" (func $is_healthy (param i32 i32 i32) (result i32)))`,
  ).replace(
    '(global $seen',
    `(data (i32.const 5000) "check.testGET/health")
    (data (i32.const 5020) "made") (data (i32.const 5100) "${target}") (data (i32.const 5200) "http://made.test/x")
    (global $seen`,
  )
}

tests.push([
  'a backend that a program describes is checked as it says, and not asked while it is unwell',
  async (t) => {
    let status = 204
    const origin = await openOrigin(t, (request, response) => {
      response.writeHead(request.url === '/health' ? status : 200, { 'cache-control': 'no-store' }).end()
    })
    const trusted = opened.add('trusted', await assemble(checking(origin.port)))
    const numbers = async (of = trusted) => [
      ...new Int32Array(Uint8Array.from((await opened.ask(of)).body as Uint8Array).buffer),
    ]
    const becomes = (wanted: readonly number[], what: string) =>
      until(async () => (await numbers()).join() === wanted.join(), what, 30_000)
    const [ok, failed, invalid] = [0, 1, 2]
    const [healthy, unhealthy] = [1, 2]
    await becomes([ok, ok, healthy, ok], 'it is healthy')
    const check = origin.asked.find(({ url }) => url === '/health')!
    assert.deepEqual([check.method, check.headers.host], ['GET', 'check.test'])
    status = 500
    await becomes([ok, ok, unhealthy, failed], 'it is unhealthy')
    const before = origin.asked.filter(({ url }) => url === '/x').length
    assert.deepEqual(await numbers(), [ok, ok, unhealthy, failed])
    assert.equal(origin.asked.filter(({ url }) => url === '/x').length, before, 'it was not asked')
    status = 204
    await becomes([ok, ok, healthy, ok], 'it is healthy again')
    for (const wrong of [{ timeoutMs: 3_600_001 }, { window: 16 }])
      assert.equal((await numbers(opened.add('trusted', await assemble(checking(origin.port, wrong)))))[0], invalid)
  },
])
