import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { WebSocket } from 'ws'
import { createTraces } from '#/control/traces.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { Trace } from '#/core/traces.ts'
import { closeFrame, opcodes, writeFrame } from '#/http/websocket-frames.ts'
import { VendorError } from './envelope.ts'
import { createTails } from './tails.ts'

function trace(message: string, outcome = 'ok'): Trace {
  return {
    scriptName: 'hello',
    outcome,
    eventTimestamp: 1_800_000_000_000,
    event: {
      request: { url: 'http://hello.localhost/', method: 'GET', headers: { 'cf-connecting-ip': '127.0.0.1' }, cf: {} },
      response: { status: 200 },
    },
    logs: [{ message: [message, { a: 1 }], level: 'log', timestamp: 1_800_000_000_000 }],
    exceptions: [],
  }
}

async function startApi(t: TestContext, changed: Partial<Limits> = {}) {
  const limits = { ...defaultLimits, ...changed }
  const fabric = createMemoryFabric(Date.now)
  const traces = createTraces({ fabric, clock: Date.now, limits })
  const hasProgram = (name: string) => name === 'hello'
  const tails = createTails({ traces, fabric, clock: Date.now, limits, hasProgram })
  const seen = new EventEmitter()
  const app = new Hono()
  app.use(async (c, next) => {
    await next()
    seen.emit(c.req.method)
  })
  app.route('/', tails.routes)
  app.onError((error, c) => {
    const { status, code, message } = error instanceof VendorError ? error : new VendorError(500, 1, String(error))
    const body = { success: false, errors: [{ code, message }], messages: [], result: null }
    return c.json(body, status as ContentfulStatusCode)
  })
  const server = createServer(getRequestListener(app.fetch))
  server.on('upgrade', (request, socket, head) => {
    if (tails.upgradeTail(request, socket, head)) seen.emit('upgrade')
    else socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    tails.close()
    traces.close()
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { base: `http://127.0.0.1:${port}`, port, traces, tails, seen, fabric }
}

const path = '/accounts/acc/workers/scripts/hello/tails'

interface Created {
  readonly id: string
  readonly url: string
  readonly expires_at: string
}

async function createTail(base: string, filters: unknown[] = []): Promise<Created> {
  const response = await fetch(`${base}${path}`, { method: 'POST', body: JSON.stringify({ filters }) })
  assert.equal(response.status, 200)
  return ((await response.json()) as { result: Created }).result
}

/** Resolves once the condition holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(5)
}

async function open(t: TestContext, url: string): Promise<WebSocket> {
  const socket = new WebSocket(url, 'trace-v1')
  t.after(() => socket.terminate())
  await once(socket, 'open')
  return socket
}

test('wrangler tail shows what a program logs, and deletes its tail at the end', async (t) => {
  const { base, traces, seen } = await startApi(t)
  const home = await mkdtemp(join(tmpdir(), 'rimward-tail-'))
  t.after(() => rm(home, { recursive: true, force: true }))
  const binary = join(dirname(createRequire(import.meta.url).resolve('wrangler/package.json')), 'bin/wrangler.js')
  const env = {
    PATH: process.env.PATH,
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
    HOME: home,
    CI: 'true',
    WRANGLER_SEND_METRICS: 'false',
    CLOUDFLARE_API_BASE_URL: base,
    CLOUDFLARE_API_TOKEN: 'token',
    CLOUDFLARE_ACCOUNT_ID: 'acc',
  }
  const options = ['tail', 'hello', '--format', 'json', '--status', 'ok', '--ip', 'self', '--search', 'shown']
  const child = spawn(process.execPath, [binary, ...options], { cwd: home, env })
  t.after(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  await once(seen, 'upgrade')
  await until(() => traces.wanted('hello'))
  traces.emit(trace('hidden, for it failed, shown', 'exception'))
  traces.emit(trace('not there'))
  traces.emit(trace('shown'))
  await until(() => output.includes('"shown"') || child.exitCode !== null)
  assert.deepEqual(JSON.parse(output), trace('shown'))
  const deleted = once(seen, 'DELETE')
  child.kill('SIGINT')
  await Promise.all([deleted, once(child, 'exit')])
  await until(() => !traces.wanted('hello'))
})

test('an address is good for one connection, and only with its secret', async (t) => {
  const { base } = await startApi(t)
  const tail = await createTail(base)
  assert.ok(Date.parse(tail.expires_at) > Date.now())
  const refused = async (url: string, protocol?: string) => {
    const socket = new WebSocket(url, protocol)
    const [, response] = await once(socket, 'unexpected-response')
    response.resume()
    return response.statusCode
  }
  const wrong = tail.url.replace(/secret=.{4}/, 'secret=AAAA')
  assert.equal(await refused(wrong, 'trace-v1'), 403)
  assert.equal(await refused(tail.url), 400)
  const socket = await open(t, tail.url)
  assert.equal(socket.protocol, 'trace-v1')
  assert.equal(await refused(tail.url, 'trace-v1'), 403)
  const unknown = tail.url.replace(/[0-9a-f]{32}/, '0'.repeat(32))
  assert.equal(await refused(unknown, 'trace-v1'), 403)
})

test('pings are echoed, and both ends can close', async (t) => {
  const { base, traces } = await startApi(t)
  const mine = await open(t, (await createTail(base)).url)
  mine.ping('wrangler tail ping')
  const [payload] = await once(mine, 'pong')
  assert.equal(String(payload), 'wrangler tail ping')
  mine.close(1000)
  assert.equal((await once(mine, 'close'))[0], 1000)
  await until(() => !traces.wanted('hello'))

  const tail = await createTail(base)
  const theirs = await open(t, tail.url)
  const listed = (await (await fetch(`${base}${path}`)).json()) as { result: Created[] }
  assert.deepEqual(
    listed.result.map(({ id }) => id),
    [tail.id],
  )
  await fetch(`${base}${path}/${tail.id}`, { method: 'DELETE' })
  assert.equal((await once(theirs, 'close'))[0], 1000)
  assert.equal((await fetch(`${base}${path}/${tail.id}`, { method: 'DELETE' })).status, 404)
})

test('what viewers may say', async (t) => {
  const { base } = await startApi(t)
  const ends: [Buffer, RegExp][] = [
    [writeFrame(opcodes.text, Buffer.from('{"debug":true}')), /^1008 'debug' is not supported/],
    [writeFrame(opcodes.text, Buffer.from('{"filters":[]}')), /^1008 'filters' is not supported/],
    [writeFrame(opcodes.text, Buffer.from('hello')), /^1008 messages must be JSON/],
    [writeFrame(opcodes.binary, Buffer.from('{}')), /^1003/],
    [Buffer.from([0xc1, 0]), /^1002/],
    [closeFrame(1000, ''), /^1000/],
  ]
  for (const [frame, expected] of ends) {
    const socket = new WebSocket((await createTail(base)).url, 'trace-v1')
    t.after(() => socket.terminate())
    await once(socket, 'open')
    // wrangler's first message: not masked.
    ;(socket as unknown as { _socket: Socket })._socket.write(
      Buffer.concat([writeFrame(opcodes.text, Buffer.from('{"debug":false}')), frame]),
    )
    const [code, reason] = await once(socket, 'close')
    assert.match(`${code} ${reason}`, expected)
  }
})

test('a session ends at its time, and there are so many at most', async (t) => {
  const { base, traces } = await startApi(t, { tailSessionSeconds: 1, tailSessions: 2 })
  const socket = await open(t, (await createTail(base)).url)
  await createTail(base)
  const third = await fetch(`${base}${path}`, { method: 'POST', body: '{}' })
  assert.equal(third.status, 429)
  const [code, reason] = await once(socket, 'close')
  assert.equal(`${code} ${reason}`, '1000 the tail has expired')
  await until(() => !traces.wanted('hello'))
  const missing = await fetch(`${base}${path.replace('hello', 'nobody')}`, { method: 'POST', body: '{}' })
  assert.equal(missing.status, 404)
  const unknown = await fetch(`${base}${path}`, { method: 'POST', body: '{"filters":[{"colour":1}]}' })
  assert.equal(unknown.status, 400)
})

test('a viewer that does not read is told what it missed', async (t) => {
  const { base, traces } = await startApi(t, { tailBufferBytes: 100_000 })
  const socket = await open(t, (await createTail(base)).url)
  const kinds: string[] = []
  socket.on('message', (data) => {
    const { event } = JSON.parse(String(data))
    kinds.push(event?.type ?? 'trace')
  })
  await until(() => traces.wanted('hello'))
  socket.pause()
  for (let count = 0; count < 200; count++) {
    traces.emit(trace('x'.repeat(100_000)))
    await new Promise((resolve) => setImmediate(resolve))
  }
  socket.resume()
  await until(() => kinds.includes('overload-stop'))
  assert.ok(kinds.indexOf('overload') > 0 && kinds.length < 200)
  traces.emit(trace('after'))
  await until(() => kinds.at(-1) === 'trace')
})

test('a viewer that vanished is pinged, then cut off', async (t) => {
  const { base, port, traces } = await startApi(t, { tailIdleMs: 50 })
  const { pathname, search } = new URL((await createTail(base)).url)
  const socket = connect(port, '127.0.0.1')
  socket.write(
    `GET ${pathname}${search} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: a, trace-v1\r\n\r\n',
  )
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'close')
  const received = Buffer.concat(chunks)
  assert.match(received.toString('latin1'), /^HTTP\/1.1 101 .*s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/s)
  assert.deepEqual([...received.subarray(-2)], [0x89, 0])
  await until(() => !traces.wanted('hello'))
})
