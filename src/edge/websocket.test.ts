/** WebSockets by real clients and servers, on HTTP/1.1 and as streams of HTTP/2 (RFC 8441). */
import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from 'node:http2'
import type { Socket as NetSocket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type WebSocket as Socket, WebSocket, WebSocketServer } from 'ws'
import { createFrameReader, type Incoming, opcodes, writeFrame } from '#/http/websocket-frames.ts'
import { hello, type Started, type StartOptions, startEdge, until } from './edge.fixture.ts'

const mask = Buffer.of(9, 8, 7, 6)

/** A program that is a real WebSocket server behind a real upgrade. */
async function startEcho(t: TestContext, more: StartOptions = {}): Promise<Started & { readonly sockets: Socket[] }> {
  const sockets: Socket[] = []
  const upstream = createServer((_asked, answer) => answer.writeHead(426).end())
  const server = new WebSocketServer({ server: upstream, handleProtocols: () => 'chat' })
  server.on('connection', (socket) => {
    sockets.push(socket)
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  t.after(() => upstream.close().closeAllConnections())
  const { port: target } = upstream.address() as { port: number }
  const started = await startEdge(t, {
    run: ({ headers }) =>
      new Promise((resolve) => {
        const list = [...headers, 'connection', 'Upgrade', 'upgrade', 'websocket', 'host', 'x']
        request({ port: target, host: '127.0.0.1', headers: list })
          .on('upgrade', (answer, upgraded, head) => {
            upgraded.unshift(head)
            resolve(hello({ status: 101, headers: answer.rawHeaders, body: null, upgraded }))
          })
          .end()
      }),
    ...more,
  })
  return { ...started, sockets }
}

async function openClient(port: number): Promise<WebSocket> {
  const client = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { host: 'hello.localhost' } })
  await new Promise((resolve) => client.once('open', resolve))
  return client
}

async function openSession(t: TestContext, port: number): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  t.after(() => session.destroy())
  await new Promise((resolve) => session.once('remoteSettings', resolve))
  return session
}

const asking: OutgoingHttpHeaders = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':scheme': 'http',
  ':authority': 'hello.localhost',
  ':path': '/room?a=b',
  'sec-websocket-version': '13',
  'sec-websocket-protocol': 'chat',
}

interface Opened {
  readonly stream: ClientHttp2Stream
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  readonly messages: Incoming[]
  /** Resolves when nothing more comes. */
  readonly ended: Promise<void>
}

async function openStream(session: ClientHttp2Session, change: OutgoingHttpHeaders = {}): Promise<Opened> {
  const stream = session.request({ ...asking, ...change }, { endStream: false })
  stream.on('error', () => {})
  const headers = await new Promise<OutgoingHttpHeaders>((resolve) => stream.once('response', resolve))
  const reader = createFrameReader({ maxBytes: 10_000_000 })
  const messages: Incoming[] = []
  const ended = new Promise<void>((resolve) => stream.once('end', resolve))
  stream.on('data', (chunk: Buffer) => messages.push(...reader.push(chunk)))
  return { stream, status: Number(headers[':status']), headers, messages, ended }
}

test('a real WebSocket client talks to a real WebSocket server through the front', async (t) => {
  const { port, logged } = await startEcho(t)
  const client = await openClient(port)
  const big = 'x'.repeat(1_000_000)
  client.send(big)
  const echoed = await new Promise<string>((resolve) => client.once('message', (data) => resolve(String(data))))
  assert.equal(echoed, big)
  client.close()
  assert.equal((await logged(1))[0]!.status, 101)
})

test('a stream of HTTP/2 is a WebSocket: both ways, more than a window, beside other requests, to its end', async (t) => {
  const { port, seen, logged } = await startEcho(t)
  const session = await openSession(t, port)
  assert.equal(session.remoteSettings.enableConnectProtocol, true)
  const { stream, status, headers, messages, ended } = await openStream(session)
  assert.equal(status, 200)
  assert.equal(headers['sec-websocket-protocol'], 'chat')
  for (const name of ['sec-websocket-accept', 'upgrade', 'connection']) assert.equal(headers[name], undefined)
  assert.deepEqual([seen[0]!.method, seen[0]!.path, seen[0]!.wantsUpgrade], ['GET', '/room?a=b', true])
  const big = Buffer.alloc(1_000_000, 'x')
  stream.write(writeFrame(opcodes.binary, big, { mask }))
  stream.write(writeFrame(opcodes.text, Buffer.from('and this'), { mask }))
  await until(() => messages.length === 2)
  assert.deepEqual(messages, [
    { kind: 'binary', bytes: big },
    { kind: 'text', text: 'and this' },
  ])
  stream.write(writeFrame(opcodes.close, Buffer.of(3, 232), { mask }))
  await until(() => messages.length === 3)
  assert.deepEqual(messages[2], { kind: 'close', code: 1000, reason: '' })
  await ended
  const [line] = await logged(1)
  assert.deepEqual([line!.status, line!.httpVersion, line!.method], [101, '2', 'GET'])
})

test('a stream that its client resets ends the WebSocket of the program', async (t) => {
  const { port, sockets, logged } = await startEcho(t)
  const { stream } = await openStream(await openSession(t, port))
  const closed = new Promise<number>((resolve) => sockets[0]!.once('close', resolve))
  stream.close(8)
  assert.equal(await closed, 1006)
  await logged(1)
})

test('a WebSocket that its server ends ends the stream', async (t) => {
  const { port, sockets } = await startEcho(t)
  const { stream, messages, ended } = await openStream(await openSession(t, port))
  sockets[0]!.close(4000, 'enough')
  await until(() => messages.length === 1)
  assert.deepEqual(messages[0], { kind: 'close', code: 4000, reason: 'enough' })
  stream.write(writeFrame(opcodes.close, Buffer.of(15, 160), { mask }))
  await ended
})

/** What asks, what the program answers, and the status that comes of it. */
const refusals: readonly (readonly [string, OutgoingHttpHeaders, StartOptions['run'], number])[] = [
  ['another protocol', { ':protocol': 'connect-udp' }, () => hello(), 405],
  ['a page, which would be taken for the WebSocket', {}, () => hello(), 400],
  ['a refusal', {}, () => hello({ status: 403 }), 403],
]
for (const [name, change, run, expected] of refusals)
  test(`an extended CONNECT that gets ${name}: ${expected}`, async (t) => {
    const { port } = await startEdge(t, { run: run! })
    const session = await openSession(t, port)
    const { status, ended } = await openStream(session, change)
    assert.equal(status, expected)
    await ended
  })

test('node:http2 in our place does not say that it serves extended CONNECT', async (t) => {
  const { port } = await startEdge(t, { options: { ownHttp2: false } })
  assert.equal((await openSession(t, port)).remoteSettings.enableConnectProtocol, false)
})

// ─── Drain ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('drain: a client on HTTP/1.1 hears 1001, behind the message that was half sent, and its answer ends both', async (t) => {
  const { port, edge, sockets } = await startEcho(t, { limits: { drainMs: 60_000 } })
  const client = await openClient(port)
  const got: string[] = []
  client.on('message', (data) => got.push(String(data)))
  const below = (socket: Socket) => (socket as unknown as { _socket: NetSocket })._socket
  const whole = writeFrame(opcodes.text, Buffer.from('in two halves'))
  const before = below(client).bytesRead
  below(sockets[0]!).write(whole.subarray(0, 6))
  const closed = new Promise<number>((resolve) => client.once('close', resolve))
  const atServer = new Promise<number>((resolve) => sockets[0]!.once('close', resolve))
  await until(() => below(client).bytesRead === before + 6)
  const drained = edge.drain()
  below(sockets[0]!).write(whole.subarray(6))
  assert.equal(await closed, 1001)
  assert.equal(await atServer, 1001)
  await drained
  assert.deepEqual(got, ['in two halves'])
})

test('drain: a client on HTTP/2 hears GOAWAY and 1001', async (t) => {
  const { port, edge, sockets } = await startEcho(t, { limits: { drainMs: 60_000 } })
  const session = await openSession(t, port)
  const { stream, messages } = await openStream(session)
  const goaway = new Promise((resolve) => session.once('goaway', resolve))
  const atServer = new Promise<number>((resolve) => sockets[0]!.once('close', resolve))
  const drained = edge.drain()
  await goaway
  await until(() => messages.length === 1)
  assert.deepEqual(messages[0], { kind: 'close', code: 1001, reason: '' })
  stream.write(writeFrame(opcodes.close, Buffer.of(3, 233), { mask }))
  assert.equal(await atServer, 1001)
  await drained
})

test('drain: who does not answer 1001 is cut when the time is over', async (t) => {
  const { port, edge } = await startEcho(t, { limits: { drainMs: 50 } })
  const { messages } = await openStream(await openSession(t, port))
  await edge.drain()
  await until(() => messages.length === 1)
  assert.equal(messages[0]!.kind, 'close')
})
