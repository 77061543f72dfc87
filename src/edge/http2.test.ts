/**
 * HTTP/2 by prior knowledge, whoever reads it: real clients, and raw frames where a client would not do such a thing.
 */
import assert from 'node:assert/strict'
import { type ClientHttp2Session, connect as connectHttp2, type OutgoingHttpHeaders } from 'node:http2'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { headerValue } from '#/http/header-list.ts'
import { hello, type Started, type StartOptions, startEdge as startAny, textOf, until } from './edge.fixture.ts'

function session(t: TestContext, port: number): ClientHttp2Session {
  const client = connectHttp2(`http://127.0.0.1:${port}`)
  client.on('error', () => {})
  t.after(() => client.destroy())
  return client
}

type Start = (t: TestContext, options?: StartOptions) => Promise<Started>

/** Runs a test with node:http2 and with our own framing. */
function each(name: string, run: (t: TestContext, start: Start) => Promise<void>): void {
  for (const ownHttp2 of [false, true])
    test(`${name} (${ownHttp2 ? 'own' : 'node:http2'})`, (t) =>
      run(t, (context, options) => startAny(context, { ...options, options: { ...options?.options, ownHttp2 } })))
}

interface Got {
  readonly headers: Record<string, unknown>
  readonly text: string
}

async function get(client: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string): Promise<Got> {
  const stream = client.request({ ':authority': 'hello.localhost', ...headers })
  stream.end(body)
  const head = new Promise<Record<string, unknown>>((resolve, reject) => {
    stream.on('response', resolve)
    stream.on('error', reject)
  })
  const got = await head
  return { headers: got, text: await textOf(stream) }
}

each('requests, bodies, cookies, errors and HEAD over one connection', async (t, startEdge) => {
  const { port, seen, logged } = await startEdge(t, {
    run: async (request) =>
      request.path === '/stream'
        ? hello({
            body: Readable.from([Buffer.from('a'), Buffer.from('b')]),
            headers: ['Content-Type', 'text/plain', 'Connection', 'x'],
          })
        : hello({ body: Buffer.from(`${request.method} ${await textOf(request.body)}`) }),
  })
  const client = session(t, port)
  const posted = await get(client, { ':path': '/p?q', ':method': 'POST', cookie: ['a=1', 'b=2'] }, 'body')
  assert.deepEqual([posted.headers[':status'], posted.text], [200, 'POST body'])
  assert.equal(posted.headers['x-served-by'], 'fra')
  assert.equal(headerValue(seen[0]!.headers, 'cookie'), 'a=1; b=2')
  assert.equal(JSON.parse(seen[0]!.cf).httpProtocol, 'HTTP/2')
  assert.equal((await get(client, { ':path': '/stream' })).text, 'ab')
  const head = await get(client, { ':path': '/', ':method': 'HEAD' })
  assert.deepEqual([head.headers['content-length'], head.text], ['5', ''])
  assert.equal((await get(client, { ':path': '/', ':authority': 'nobody.example' })).headers[':status'], 404)
  const lines = await logged(4)
  assert.deepEqual(
    lines.map((line) => `${line.httpVersion} ${line.status}`),
    ['2 200', '2 200', '2 200', '2 404'],
  )
})

each('what HTTP/2 lets through and HTTP/1 would misread is refused', async (t, startEdge) => {
  const { port, seen, logged } = await startEdge(t, {
    limits: { urlBytes: 100, headerBytes: 3000, headerCount: 20, requestBodyBytes: 10 },
  })
  const client = session(t, port)
  const cases: [OutgoingHttpHeaders, number][] = [
    [{ ':path': '/', host: 'other.localhost' }, 400],
    [{ ':path': '/', ':authority': 'a@hello.localhost' }, 400],
    [{ ':path': '*', ':method': 'OPTIONS' }, 400],
    [{ ':path': '/#f' }, 400],
    [{ ':path': `/${'a'.repeat(200)}` }, 414],
    [{ ':path': '/', x: 'y'.repeat(3000) }, 431],
    [{ ':path': '/', ':method': 'TRACE' }, 405],
    [{ ':path': '/', expect: 'x' }, 417],
    [{ ':path': '/', ':method': 'POST', 'content-length': '11' }, 413],
  ]
  let reset = 0
  for (const [headers, status] of cases) {
    const stream = client.request({ ':authority': 'hello.localhost', ...headers }, { endStream: status !== 413 })
    const got = await new Promise<unknown>((resolve) => {
      stream.on('response', (head) => resolve(head[':status']))
      stream.on('error', () => resolve('reset'))
    })
    stream.resume()
    // nghttp2 itself resets some of these before we see them.
    if (got === 'reset') reset++
    else assert.equal(got, status, JSON.stringify(headers))
  }
  assert.equal(seen.length, 0)
  assert.ok(reset <= 3, `${reset} were reset`)
  assert.equal((await logged(cases.length - reset)).length, cases.length - reset)
})

each('an unread body ends its stream only; an aborted stream aborts its program', async (t, startEdge) => {
  let aborted = 0
  const { port, logged } = await startEdge(t, {
    limits: { unreadBodyBytes: 10 },
    run: (request) =>
      request.path === '/wait'
        ? new Promise((_resolve, reject) =>
            request.signal.addEventListener('abort', () => {
              aborted++
              reject(request.signal.reason)
            }),
          )
        : hello(),
  })
  const client = session(t, port)
  const unread = client.request({
    ':path': '/',
    ':method': 'POST',
    ':authority': 'hello.localhost',
    'content-length': '100000',
  })
  unread.on('error', () => {})
  unread.write('x')
  assert.equal(await textOf(unread), 'hello')
  const waiting = client.request({ ':path': '/wait', ':authority': 'hello.localhost' })
  waiting.on('error', () => {})
  await until(() => !waiting.pending)
  await get(client, { ':path': '/' })
  waiting.close(8)
  const lines = await logged(3)
  assert.equal(aborted, 1)
  assert.deepEqual(lines.map((line) => line.status).sort(), [200, 200, 499])
})

each('half a preface is waited for without a turn of the processor', async (t, startEdge) => {
  const { port } = await startEdge(t, { limits: { headersTimeoutMs: 300 } })
  const socket = connect({ port, host: '127.0.0.1' })
  socket.write('PRI')
  await new Promise((resolve) => setTimeout(resolve, 20))
  const before = process.cpuUsage()
  await new Promise((resolve) => socket.once('close', resolve).resume())
  assert.ok(process.cpuUsage(before).user < 200_000)
})

// ─── Raw frames ──────────────────────────────────────────────────────────────────────────────────────────────────

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** HPACK (RFC 7541): indexed GET, http, /; literal :authority. */
const headerBlock = Buffer.concat([Buffer.from([0x82, 0x86, 0x84, 0x41, 15]), Buffer.from('hello.localhost')])

each('of 5,000 open streams 100 reach the engine', async (t, startEdge) => {
  const { port, seen } = await startEdge(t, { run: () => new Promise(() => {}) })
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.resume()
  // SETTINGS is never acknowledged, so the client cannot claim not to have heard.
  const parts = [preface, frame(4, 0, 0)]
  for (let stream = 0; stream < 5000; stream++) parts.push(frame(1, 5, stream * 2 + 1, headerBlock))
  socket.write(Buffer.concat(parts))
  socket.write(frame(6, 0, 0, Buffer.alloc(8)))
  await until(() => seen.length >= 100)
  await new Promise((resolve) => (socket.destroyed ? resolve(0) : socket.once('data', resolve)))
  assert.equal(seen.length, 100)
  socket.destroy()
})

each('rapid reset is cut, and others go on', async (t, startEdge) => {
  const { port, seen } = await startEdge(t, {
    run: () => new Promise((resolve) => setImmediate(() => resolve(hello()))),
  })
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.resume()
  const parts = [preface, frame(4, 0, 0)]
  for (let stream = 0; stream < 20_000; stream++) {
    parts.push(frame(1, 5, stream * 2 + 1, headerBlock), frame(3, 0, stream * 2 + 1, Buffer.from([0, 0, 0, 8])))
  }
  socket.write(Buffer.concat(parts))
  await new Promise((resolve) => socket.once('close', resolve))
  assert.ok(seen.length < 5000, `${seen.length} requests reached the engine`)
  assert.equal((await get(session(t, port), { ':path': '/' })).text, 'hello')
})

each(
  'pseudo-fields and connection fields of HTTP/1 end the stream; a value with CR LF reaches nobody',
  async (t, startEdge) => {
    const { port, seen } = await startEdge(t)
    const literal = (name: string, value: string) => {
      const parts = [
        Buffer.from([0x00, name.length]),
        Buffer.from(name),
        Buffer.from([value.length]),
        Buffer.from(value),
      ]
      return Buffer.concat(parts)
    }
    const extras = [
      literal(':status', '200'),
      literal(':path', '/two'),
      literal('connection', 'x'),
      literal('transfer-encoding', 'chunked'),
      literal('x', 'a\r\nb: c'),
    ]
    for (const extra of extras) {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.on('error', () => {})
      const types: number[] = []
      let rest: Buffer = Buffer.alloc(0)
      socket.on('data', (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk])
        while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
          types.push(rest[3]!)
          rest = rest.subarray(9 + rest.readUIntBE(0, 3))
        }
      })
      socket.write(Buffer.concat([preface, frame(4, 0, 0), frame(1, 5, 1, Buffer.concat([headerBlock, extra]))]))
      // HEADERS, RST_STREAM or GOAWAY.
      await until(() => types.some((type) => type === 1 || type === 3 || type === 7) || socket.destroyed)
      if (extra !== extras.at(-1)) assert.ok(!types.includes(1), `${extra} was answered`)
      socket.destroy()
    }
    // nghttp2 drops a field whose value is malformed and lets the rest of the request pass.
    assert.ok(seen.length <= 1)
    for (const { headers } of seen) assert.ok(!headers.some((text) => /[\r\n]/.test(text)) && !headers.includes('x'))
  },
)
