/** Single host calls, from programs in WebAssembly text. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:net'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import type { HeaderList } from '#/core/exchange.ts'
import type { ProgramRequest } from '#/core/ports.ts'
import { assemble, program, textOf } from '#/engines/compute/compute.fixture.ts'
import { headerValue } from '#/http/header-list.ts'
import { type BackendStage, openBackends, openOrigin } from '../support/compute.ts'

const sending = `
  (import "fastly_http_req" "new" (func $req_new (param i32) (result i32)))
  (import "fastly_http_req" "method_set" (func $method_set (param i32 i32 i32) (result i32)))
  (import "fastly_http_req" "uri_set" (func $uri_set (param i32 i32 i32) (result i32)))
  (import "fastly_http_req" "body_downstream_get" (func $client (param i32 i32) (result i32)))
  (import "fastly_http_req" "send" (func $fetch (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "fastly_http_req" "send_v2" (func $fetch_v2 (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "fastly_http_req" "send_async" (func $fetch_async (param i32 i32 i32 i32 i32) (result i32)))
  (import "fastly_http_req" "pending_req_poll" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "fastly_http_req" "pending_req_select_v2" (func $select_v2 (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "fastly_http_req" "pending_req_header_insert" (func $insert (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "fastly_http_req" "redirect_to_websocket_proxy" (func $proxy (param i32 i32) (result i32)))
  (import "fastly_http_req" "on_behalf_of" (func $on_behalf_of (param i32 i32 i32) (result i32)))
  (import "fastly_http_req" "fastly_key_is_valid" (func $key_is_valid (param i32) (result i32)))
  (import "fastly_http_resp" "send_downstream_pending" (func $send_pending (param i32) (result i32)))
  (import "fastly_async_io" "select" (func $select (param i32 i32 i32 i32) (result i32)))
  (import "fastly_async_io" "is_ready" (func $is_ready (param i32 i32) (result i32)))
  (import "fastly_backend" "is_healthy" (func $is_healthy (param i32 i32 i32) (result i32)))
  (import "fastly_backend" "exists" (func $exists (param i32 i32 i32) (result i32)))
  (import "fastly_backend" "get_port" (func $get_port (param i32 i32 i32) (result i32)))
  (import "fastly_http_downstream" "downstream_client_ip_addr" (func $ip (param i32 i32 i32) (result i32)))
  (import "fastly_shielding" "shield_info" (func $shield (param i32 i32 i32 i32 i32) (result i32)))
 (import "fastly_http_body" "append" (func $append (param i32 i32) (result i32)))
  (import "fastly_http_body" "read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "fastly_http_body" "trailer_value_get" (func $trailer (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "fastly_cache" "transaction_lookup" (func $take (param i32 i32 i32 i32 i32) (result i32)))
`

/** Strings lie from 5000 on; numbers that were got, from 100 on; the program answers with the 64 bytes from 100. */
const data = `
  (data (i32.const 5000) "originhttp://origin.test/path") ;; "origin": 5000, 6; the URL: 5006, 23
  (data (i32.const 5100) "x-addedvalue")
  (data (i32.const 5200) "nobody")
  (func $request (result i32)
    (drop (call $req_new (i32.const 40)))
    (drop (call $uri_set (i32.load (i32.const 40)) (i32.const 5006) (i32.const 23)))
    (i32.load (i32.const 40)))
  (func $body (result i32) (drop (call $body_new (i32.const 44))) (i32.load (i32.const 44)))
  (func $tell (call $answer (i32.const 200) (i32.const 100) (i32.const 64)))
`

let opened: BackendStage
const tests: [string, (t: TestContext) => Promise<void>][] = []

test('single host calls', async (t) => {
  opened = await openBackends(t, { computeWallMs: 1_500 })
  for (const [name, run] of tests) await t.test(name, run)
})

async function stage(
  t: TestContext,
  body: string,
  answer: Parameters<typeof openOrigin>[1],
  other = 'http://127.0.0.1:1/',
) {
  const origin = await openOrigin(t, answer)
  const nobody = { name: 'nobody', url: other, weight: 100 }
  const text = program(body, sending).replace('(global $seen', `${data} (global $seen`)
  const made = opened.add('single', await assemble(text), { backends: [origin.backend, nobody] })
  await opened.cache.purge([{ scope: 'single', soft: false, what: { kind: 'everything' } }])
  const ask = (more?: Partial<ProgramRequest>) => opened.ask(made, '/', more)
  const numbers = async (more?: Partial<ProgramRequest>): Promise<Int32Array> => {
    const { body: bytes } = await ask(more)
    return new Int32Array(Uint8Array.from(bytes as Uint8Array).buffer)
  }
  return { ...opened, origin, ask, numbers }
}

tests.push([
  'a failed request says why, in number and detail',
  async (t) => {
    const { numbers } = await stage(
      t,
      `
    (i32.store (i32.const 100) (call $fetch_v2 (call $request) (call $body) (i32.const 5200) (i32.const 6) (i32.const 104) (i32.const 124) (i32.const 128)))
    (i32.store (i32.const 132) (call $fetch (call $request) (call $body) (i32.const 5200) (i32.const 3) (i32.const 136) (i32.const 140)))
    (call $tell)`,
      (_request, response) => response.end(),
    )
    const told = await numbers()
    assert.equal(told[0], 1, 'error')
    assert.equal(told[1], 7, 'connection_refused')
    assert.equal(told[8], 2, 'a backend that there is not')
  },
])

tests.push([
  'poll, select with a time, and select of what is there',
  async (t) => {
    const waiting: (() => void)[] = []
    const { numbers } = await stage(
      t,
      `
    (drop (call $fetch_async (call $request) (call $body) (i32.const 5000) (i32.const 6) (i32.const 48)))
    (i32.store (i32.const 100) (call $poll (i32.load (i32.const 48)) (i32.const 104) (i32.const 108) (i32.const 112)))
    (i32.store (i32.const 116) (call $select (i32.const 48) (i32.const 1) (i32.const 20) (i32.const 120)))
    (i32.store (i32.const 124) (call $is_ready (i32.load (i32.const 48)) (i32.const 128)))
    ;; a second request, to another address, opens the way
    (drop (call $uri_set (call $request) (i32.const 5006) (i32.const 22)))
    (drop (call $fetch_async (i32.load (i32.const 40)) (call $body) (i32.const 5000) (i32.const 6) (i32.const 52)))
    (i32.store (i32.const 132) (call $select_v2 (i32.const 48) (i32.const 2) (i32.const 136) (i32.const 160) (i32.const 156) (i32.const 152)))
    (call $tell)`,
      (_request, response) => {
        waiting.push(() => response.end('x'))
        if (waiting.length === 2) waiting[1]!()
      },
    )
    const told = await numbers()
    assert.deepEqual([told[0], told[1]], [0, 0], 'not there yet')
    assert.deepEqual([told[4], told[5]], [0, -1], 'the time was over')
    assert.deepEqual([told[6], told[7]], [0, 0])
    assert.deepEqual([told[8], told[9]], [0, 1], 'the second one')
  },
])

tests.push([
  'an answer that is still to come goes to the client as it comes',
  async (t) => {
    const { ask } = await stage(
      t,
      `
    (drop (call $fetch_async (call $request) (call $body) (i32.const 5000) (i32.const 6) (i32.const 48)))
    (drop (call $insert (i32.load (i32.const 48)) (i32.const 5100) (i32.const 7) (i32.const 5107) (i32.const 5) (i32.const 0)))
    (drop (call $send_pending (i32.load (i32.const 48))))`,
      (_request, response) => response.writeHead(418).end('tea'),
    )
    const answer = await ask()
    assert.deepEqual(
      [answer.status, await textOf(answer), headerValue(answer.headers, 'x-added')],
      [418, 'tea', 'value'],
    )
  },
])

tests.push([
  'early hints go out before the answer',
  async (t) => {
    const { ask } = await stage(
      t,
      `
    (drop (call $resp_new (i32.const 48)))
    (drop (call $status_set (i32.load (i32.const 48)) (i32.const 103)))
    (drop (call $send (i32.load (i32.const 48)) (call $body) (i32.const 0)))
    (call $tell)`,
      (_request, response) => response.end(),
    )
    const hints: [number, HeaderList][] = []
    const answer = await ask({ onInformational: (status, headers) => void hints.push([status, headers]) })
    assert.equal(answer.status, 200)
    assert.deepEqual(hints, [[103, []]])
  },
])

tests.push([
  'small facts',
  async (t) => {
    const { numbers, states } = await stage(
      t,
      `
    (i32.store (i32.const 100) (call $exists (i32.const 5000) (i32.const 6) (i32.const 104)))
    (i32.store (i32.const 108) (call $is_healthy (i32.const 5000) (i32.const 6) (i32.const 112)))
    (i32.store (i32.const 116) (call $get_port (i32.const 5000) (i32.const 6) (i32.const 120)))
    (i32.store (i32.const 124) (call $key_is_valid (i32.const 128)))
    (drop (call $client (i32.const 60) (i32.const 64)))
    (i32.store (i32.const 132) (call $ip (i32.load (i32.const 60)) (i32.const 136) (i32.const 152)))
    (i32.store (i32.const 156) (call $shield (i32.const 5000) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const 0)))
    (i32.store (i32.const 160) (call $on_behalf_of (call $request) (i32.const 5000) (i32.const 6)))
    (call $tell)`,
      (_request, response) => response.end(),
    )
    const check = { successes: 0, window: 5, threshold: 3, since: 0 }
    states.push({
      site: 'single',
      name: 'origin',
      url: '',
      healthy: false,
      check,
      requests: 0,
      failures: 0,
      retries: 0,
    })
    const told = await numbers({ received: ['fastly-key', 'purge-key'] })
    assert.deepEqual([...told.subarray(0, 2)], [0, 1])
    assert.deepEqual([...told.subarray(2, 4)], [0, 2], 'unhealthy')
    assert.deepEqual([...told.subarray(6, 8)], [0, 1], 'the key may purge')
    assert.deepEqual([told[8], told[13]], [0, 4])
    assert.deepEqual([...new Uint8Array(told.buffer, 36, 4)], [192, 0, 2, 1])
    assert.deepEqual([told[14], told[15]], [2, 5], 'no shield of this name; another service is another one')
  },
])

const hanging = `(drop (call $fetch (call $request) (call $body) (i32.const 5000) (i32.const 6) (i32.const 48) (i32.const 52))) (call $tell)`

tests.push([
  'a client that leaves ends what its program waits for',
  async (t) => {
    const arrived = Promise.withResolvers<void>()
    const left = Promise.withResolvers<void>()
    // Past the cache, which finishes for others what it began: a request with a body.
    const sent = `
    (drop (call $client (i32.const 60) (i32.const 64)))
    (drop (call $fetch (call $request) (i32.load (i32.const 64)) (i32.const 5000) (i32.const 6) (i32.const 48) (i32.const 52)))`
    const { ask } = await stage(t, sent, (request) => {
      arrived.resolve()
      request.socket.on('close', () => left.resolve())
    })
    const aborter = new AbortController()
    const failed = assert.rejects(ask({ signal: aborter.signal, body: Readable.from([Buffer.from('x')]) }))
    await arrived.promise
    aborter.abort()
    await Promise.all([failed, left.promise])
  },
])

tests.push([
  'so does the end of its time',
  async (t) => {
    const { ask } = await stage(t, hanging, () => {})
    await assert.rejects(ask(), { code: 'program_exceeded_limits' })
  },
])

tests.push([
  'a turn that a program holds when its time is over goes to the next',
  async (t) => {
    const { ask, numbers } = await stage(
      t,
      `
    (drop (call $take (i32.const 5000) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const 48)))
    (drop (call $client (i32.const 60) (i32.const 64)))
    ;; who sends a body stays with the backend
    (drop (call $fetch (call $request) (i32.load (i32.const 64)) (i32.const 5000) (i32.const 6) (i32.const 56) (i32.const 68)))
    (call $tell)`,
      (request, response) => {
        if (request.headers['transfer-encoding'] === undefined) response.end('x')
      },
    )
    void numbers
    const first = assert.rejects(ask({ body: Readable.from([Buffer.from('x')]) }), { code: 'program_exceeded_limits' })
    await first
    assert.equal((await ask()).status, 200)
  },
])

tests.push([
  'a WebSocket goes through to a backend',
  async (t) => {
    const server = createServer((socket) => {
      socket.once('data', (head) => {
        assert.match(String(head), /^GET \/ HTTP\/1\.1\r\n/)
        assert.match(String(head), /upgrade: websocket/i)
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nx-by: backend\r\n\r\n',
        )
        socket.pipe(socket)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    const { port } = server.address() as { port: number }
    const text = program(`(drop (call $proxy (i32.const 5000) (i32.const 6)))`, sending).replace(
      '(global $seen',
      `${data} (global $seen`,
    )
    const backend = { name: 'origin', url: `http://127.0.0.1:${port}/`, weight: 100 }
    const made = opened.add('socket', await assemble(text), { backends: [backend] })
    const headers = ['upgrade', 'websocket', 'sec-websocket-key', 'a2V5']
    const answer = await opened.ask(made, '/', { wantsUpgrade: true, headers })
    assert.deepEqual([answer.status, headerValue(answer.headers, 'x-by')], [101, 'backend'])
    answer.upgraded!.write('ping')
    const [echo] = (await answer.upgraded!.take(1).toArray()) as Buffer[]
    assert.equal(String(echo), 'ping')
    answer.upgraded!.destroy()
  },
])

tests.push([
  'a backend that names a site of this platform is answered by its program',
  async (t) => {
    const { ask, origin } = await stage(
      t,
      `
    (drop (call $fetch_async (call $request) (call $body) (i32.const 5200) (i32.const 6) (i32.const 48)))
    (drop (call $send_pending (i32.load (i32.const 48))))`,
      (_request, response) => response.end(),
      'http://own.test/',
    )
    const text = program('(call $answer (i32.const 203) (i32.const 4096) (i32.const 15))')
    opened.sites.set('own.test', opened.add('own', await assemble(text)))
    const answer = await ask()
    assert.deepEqual([answer.status, await textOf(answer), origin.asked.length], [203, 'hello from wasm', 0])
  },
])

tests.push([
  'trailers may be read when the body was',
  async (t) => {
    const answered = (_request: unknown, response: ServerResponse) => {
      response.writeHead(200, { trailer: 'x-added' })
      response.write('x')
      response.addTrailers({ 'x-added': 'last' })
      response.end()
    }
    const sent = `(drop (call $fetch (call $request) (call $body) (i32.const 5000) (i32.const 6) (i32.const 48) (i32.const 52)))`
    const { numbers } = await stage(
      t,
      `${sent}
    (i32.store (i32.const 100) (call $trailer (i32.load (i32.const 52)) (i32.const 5100) (i32.const 7) (i32.const 120) (i32.const 20) (i32.const 116)))
    (drop (call $read (i32.load (i32.const 52)) (i32.const 200) (i32.const 10) (i32.const 104)))
    (drop (call $read (i32.load (i32.const 52)) (i32.const 200) (i32.const 10) (i32.const 108)))
    (i32.store (i32.const 112) (call $trailer (i32.load (i32.const 52)) (i32.const 5100) (i32.const 7) (i32.const 120) (i32.const 20) (i32.const 116)))
    (call $tell)`,
      answered,
    )
    const told = await numbers()
    assert.deepEqual([...told.subarray(0, 5)], [14, 1, 0, 0, 4], 'again; one byte; the end; ok; four bytes')
    assert.equal(Buffer.from(told.buffer).toString('latin1', 20, 24), 'last')
  },
])
