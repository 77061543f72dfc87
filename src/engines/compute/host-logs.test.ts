import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { EgressRequest } from '#/core/ports.ts'
import { callAll, load, out } from './call-sequence.fixture.ts'
import { linked, openHost } from './host.fixture.ts'
import { status } from './inside/status.ts'
import { createLogSinks, type EndpointLine, syslogFrame } from './log-sinks.ts'

const { ok, invalidArgument, badHandle } = status

test('lines go to their endpoints, and to who follows the program', async (t) => {
  const stage = await openHost(t, { limits: { computeLogBytes: 10 } })
  const outcome = await callAll(
    stage,
    [
      ['fastly_log.endpoint_get', 'collector', out('collector')],
      ['fastly_log.endpoint_get', 'audit', out('audit')],
      ['fastly_log.endpoint_get', 'not defined', out('other')],
      ['fastly_log.endpoint_get', 'stdout', out('x')],
      ['fastly_log.endpoint_get', 'FST_managed_1', out('x')],
      ['fastly_log.write', load('collector'), 'one', out('written')],
      ['fastly_log.write', load('audit'), 'two', out('n')],
      ['fastly_log.write', load('other'), 'three', out('n')],
      ['fastly_log.write', load('collector'), 'longer than ten', out('long')],
      ['fastly_log.write', 99, 'nowhere', out('n')],
    ],
    { code: linked },
  )
  assert.deepEqual(outcome.statuses, [ok, ok, ok, invalidArgument, invalidArgument, ok, ok, ok, ok, badHandle])
  assert.deepEqual([outcome.u32('written'), outcome.u32('long')], [3, 15])
  assert.deepEqual(
    stage.sunk.map(({ endpoint, message, requestId }) => [endpoint.name, message, requestId]),
    [
      ['collector', 'one', '0123456789abcdef'],
      ['collector', 'longer tha', '0123456789abcdef'],
    ],
  )
  assert.deepEqual(
    stage.printed.map(({ stream, message }) => [stream, message]),
    [
      ['collector', 'one'],
      ['audit', 'two'],
      ['not defined', 'three'],
      ['collector', 'longer tha'],
    ],
  )
})

test('standard streams are lines of the program', async (t) => {
  const stage = await openHost(t)
  await callAll(stage, [
    ['wasi_snapshot_preview1.fd_write', 1, { struct: ['hello\nwo'] }, 1, out('n')],
    ['wasi_snapshot_preview1.fd_write', 2, { struct: ['oh no\n'] }, 1, out('n')],
    ['wasi_snapshot_preview1.fd_write', 1, { struct: ['rld'] }, 1, out('n')],
  ])
  const printed = () => stage.printed.map(({ stream, message }) => `${stream}: ${message}`)
  while (printed().length < 3) await new Promise(setImmediate)
  assert.deepEqual(printed(), ['stdout: hello', 'stderr: oh no', 'stdout: world'])
})

const line = (message: string, endpoint: EndpointLine['endpoint']): EndpointLine => ({
  program: 'shop',
  endpoint,
  requestId: '0123456789abcdef',
  at: Date.UTC(2026, 10, 23, 9, 30),
  message,
})

function openSinks(t: TestContext, changed: Partial<Limits>, fetch?: (request: EgressRequest) => Promise<number>) {
  const logged: object[] = []
  const sinks = createLogSinks({
    egress: { fetch: async (request) => ({ status: (await fetch?.(request)) ?? 200, headers: [], body: null }) },
    dialer: {
      async dial({ host, port }) {
        const socket = connect(port, host)
        await once(socket, 'connect')
        return socket
      },
    },
    limits: { ...defaultLimits, computeLogFlushMs: 5, ...changed },
    hostname: 'tst',
    log: (_message, facts) => void logged.push(facts!),
  })
  t.after(() => sinks.close())
  return { sinks, logged }
}

const http = { kind: 'http', name: 'collector', url: 'http://logs.test/in', method: 'POST' } as const

test('HTTP: a batch is one request', async (t) => {
  const server = createHttpServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const got: { text: string; headers: IncomingMessage['headers'] }[] = []
  server.on('request', async (request, response) => {
    got.push({ text: Buffer.concat(await request.toArray()).toString(), headers: request.headers })
    response.end()
  })
  const { sinks } = openSinks(t, {}, async ({ url, method, headers, body }) => {
    const fields = headers.flatMap((name, index) => (index % 2 === 0 ? [[name, headers[index + 1]!]] : []))
    const answer = await fetch(new URL(new URL(url).pathname, `http://127.0.0.1:${port}`), {
      method,
      headers: fields as [string, string][],
      body: body as Uint8Array<ArrayBuffer>,
    })
    return answer.status
  })
  const endpoint = { ...http, contentType: 'application/x-ndjson', header: ['x-key', 'k'] as const }
  for (const message of ['{"a":1}', '{"a":2}']) sinks.write(line(message, endpoint))
  while (got.length === 0) await new Promise(setImmediate)
  assert.deepEqual(
    got.map(({ text, headers }) => [text, headers['content-type'], headers['x-key']]),
    [['{"a":1}\n{"a":2}\n', 'application/x-ndjson', 'k']],
  )
  assert.deepEqual(sinks.dropped(), [{ program: 'shop', endpoint: 'collector', lines: 0 }])
})

test('HTTP: tried again, then given up and counted', async (t) => {
  const tried: string[] = []
  const { sinks, logged } = openSinks(t, { computeLogAttempts: 3, computeLogFlushMs: 1 }, async ({ body }) => {
    tried.push(String(body))
    if (tried.length === 1) throw new EdgeError('origin_refused', 'Nobody is there.')
    return tried.length <= 2 || tried.length >= 4 ? 503 : 200
  })
  sinks.write(line('first', http))
  while (tried.length < 3) await new Promise(setImmediate)
  sinks.write(line('second', http))
  while (logged.length === 0) await new Promise(setImmediate)
  assert.deepEqual(tried, ['first\n', 'first\n', 'first\n', 'second\n', 'second\n', 'second\n'])
  assert.deepEqual(logged, [{ program: 'shop', endpoint: 'collector', lines: 1, reason: 'It answered 503.' }])
  assert.equal(sinks.dropped()[0]?.lines, 1)
})

test('HTTP: what does not fit into the queue is counted, what fits arrives in order', async (t) => {
  const { promise: open, resolve } = Promise.withResolvers<void>()
  const bodies: string[] = []
  const limits = { computeLogQueueBytes: 20, computeLogBatchBytes: 10 }
  const { sinks, logged } = openSinks(t, limits, async ({ body }) => {
    await open
    bodies.push(String(body))
    return 200
  })
  for (let number = 0; number < 20; number++) sinks.write(line(`${number + 1000}`, http))
  resolve()
  while (logged.length === 0) await new Promise(setImmediate)
  const arrived = bodies.join('').trim().split('\n')
  assert.equal(arrived.length + sinks.dropped()[0]!.lines, 20)
  assert.ok(arrived.length >= 4 && arrived.length < 8, arrived.join())
  assert.deepEqual(arrived, arrived.toSorted())
})

test('close sends what waits', async (t) => {
  const bodies: string[] = []
  const { sinks } = openSinks(t, { computeLogFlushMs: 60_000 }, async ({ body }) => {
    bodies.push(String(body))
    return 200
  })
  sinks.write(line('last', http))
  await sinks.close()
  assert.deepEqual(bodies, ['last\n'])
})

test('syslog: frames of RFC 5424 over TCP, over a new connection when the first is gone', async (t) => {
  const connections: Socket[] = []
  let text = ''
  const server = createServer((socket) => {
    connections.push(socket)
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { sinks } = openSinks(t, {})
  t.after(() => {
    for (const socket of connections) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const endpoint = { kind: 'syslog', name: 'audit trail', host: '127.0.0.1', port, tls: false } as const
  const expected = '<134>1 2026-11-23T09:30:00.000Z tst shop 0123456789abcdef audit_trail - grüß'
  sinks.write(line('grüß', endpoint))
  while (!text.endsWith('grüß')) await new Promise(setImmediate)
  assert.equal(text, `${Buffer.byteLength(expected)} ${expected}`)
  assert.equal(syslogFrame(line('grüß', endpoint), 'tst'), text)

  const gone = once(connections[0]!, 'close')
  connections[0]!.destroy()
  await gone
  sinks.write(line('again', endpoint))
  while (connections.length < 2 || !text.endsWith('again')) {
    sinks.write(line('again', endpoint))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
})
