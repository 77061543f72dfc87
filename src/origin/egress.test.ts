/** Requests to real origins on loopback: fields, bodies both ways, upgrades, and origins that misbehave. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { type TestContext, test } from 'node:test'
import { WebSocketServer } from 'ws'
import type { Limits } from '#/core/limits.ts'
import { listenOn, openEgress, request, textOf } from './origin.fixture.ts'

async function withHttp(t: TestContext, listener: RequestListener, limits: Partial<Limits> = {}) {
  const server = createHttpServer(listener)
  const url = `http://127.0.0.1:${await listenOn(server)}`
  const egress = openEgress({ limits })
  t.after(async () => {
    await egress.close()
    server.closeAllConnections()
    server.close()
  })
  return { url, egress, server }
}

/** An origin that writes bytes of its own. */
async function withTcp(t: TestContext, answer: (socket: Socket) => void, limits: Partial<Limits> = {}) {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', () => answer(socket))
  })
  const url = `http://127.0.0.1:${await listenOn(server)}`
  const egress = openEgress({ limits })
  t.after(async () => {
    await egress.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url, egress, sockets }
}

test('fields go and come as they are, duplicates kept, hop-by-hop ones left out', async (t) => {
  let seen: string[] = []
  const { url, egress } = await withHttp(t, (incoming, outgoing) => {
    seen = incoming.rawHeaders
    outgoing.writeHead(201, 'Made', [
      'Set-Cookie',
      'a=1',
      'X-One',
      '1',
      'set-cookie',
      'b=2',
      'Keep-Alive',
      'timeout=9',
      'Connection',
      'X-Hop',
      'X-Hop',
      'y',
      'x-latin',
      'caf\u00e9',
    ])
    outgoing.end('ok')
  })
  const headers = [
    'Accept',
    'a',
    'Accept',
    'b',
    'Connection',
    'close, x-mine',
    'X-Mine',
    '1',
    'TE',
    'trailers',
    'Expect',
    '100-continue',
    'X-End',
    '2',
  ]
  const answer = await egress.fetch(request(`${url}/a/../b?c`, { headers }))
  assert.equal(answer.status, 201)
  assert.equal(answer.statusText, 'Made')
  const expected = ['Set-Cookie', 'a=1', 'X-One', '1', 'set-cookie', 'b=2', 'x-latin', 'caf\u00e9']
  assert.deepEqual(answer.headers.slice(0, expected.length), expected)
  for (const name of ['connection', 'keep-alive', 'x-hop', 'transfer-encoding'])
    assert.ok(!answer.headers.some((field, i) => i % 2 === 0 && field.toLowerCase() === name), name)
  assert.equal(await textOf(answer.body), 'ok')
  const sent = seen.join('|')
  assert.match(sent, /^host\|127\.0\.0\.1:\d+\|/i)
  assert.match(sent, /Accept\|a\|Accept\|b\|/i)
  assert.match(sent, /cdn-loop\|rimward/)
  assert.doesNotMatch(sent, /x-mine|trailers|expect/i)
})

test('Host goes as it was given', async (t) => {
  const { url, egress } = await withHttp(t, (incoming, outgoing) => outgoing.end(incoming.headers.host))
  const answer = await egress.fetch(request(url, { by: { site: 's' }, headers: ['Host', 'www.example'] }))
  assert.equal(await textOf(answer.body), 'www.example')
})

test('bodies stream both ways while they are still being sent', async (t) => {
  const { url, egress } = await withHttp(t, (incoming, outgoing) => incoming.pipe(outgoing))
  const body = new Readable({ read() {} })
  const answer = await egress.fetch(request(url, { method: 'POST', body: body.push('one') ? body : null }))
  const incoming = answer.body as Readable
  assert.equal(String((await once(incoming, 'data'))[0]), 'one')
  body.push('two')
  assert.equal(String((await once(incoming, 'data'))[0]), 'two')
  body.push(null)
  await finished(incoming)
})

test('bytes at once have a length, no body has none, an empty stream of known length is none', async (t) => {
  const { url, egress } = await withHttp(t, (incoming, outgoing) => {
    const { 'content-length': length, 'transfer-encoding': coding } = incoming.headers
    incoming.resume().on('end', () => outgoing.end(`${length} ${coding}`))
  })
  const send = async (more: Parameters<typeof request>[1]) => textOf((await egress.fetch(request(url, more))).body)
  assert.equal(
    await send({ method: 'POST', body: Buffer.from('abc'), headers: ['content-length', '3'] }),
    '3 undefined',
  )
  assert.equal(
    await send({ method: 'POST', body: Readable.from([Buffer.from('abc')]), headers: ['Content-Length', '3'] }),
    '3 undefined',
  )
  assert.equal(await send({ method: 'POST', body: Readable.from([Buffer.from('abc')]) }), 'undefined chunked')
  assert.equal(await send({ method: 'POST', body: Readable.from([]), headers: ['content-length', '0'] }), '0 undefined')
  assert.equal(await send({ method: 'DELETE' }), 'undefined undefined')
  assert.equal(await send({}), 'undefined undefined')
})

test('HEAD, 204 and 304 have no body, an interim 103 is passed over', async (t) => {
  const { url, egress } = await withHttp(t, (incoming, outgoing) => {
    if (incoming.url === '/hints') outgoing.writeEarlyHints({ link: '</a.css>; rel=preload' })
    outgoing.statusCode = Number(incoming.url?.slice(1)) || 200
    if (outgoing.statusCode !== 204) outgoing.setHeader('content-length', '5')
    outgoing.end(outgoing.statusCode === 304 ? '' : 'hello')
  })
  for (const path of ['/204', '/304']) assert.equal((await egress.fetch(request(url + path))).body, null)
  const head = await egress.fetch(request(url, { method: 'HEAD' }))
  assert.equal(head.body, null)
  assert.equal(head.headers[head.headers.findIndex((field) => field.toLowerCase() === 'content-length') + 1], '5')
  const hinted = await egress.fetch(request(`${url}/hints`))
  assert.deepEqual([hinted.status, await textOf(hinted.body)], [200, 'hello'])
})

test('a big body is held back while nobody reads it', async (t) => {
  let sent = 0
  const total = 64 * 1024 * 1024
  const { url, egress } = await withHttp(t, (_incoming, outgoing) => {
    const chunk = Buffer.alloc(256 * 1024)
    const source = new Readable({
      read() {
        sent += chunk.length
        this.push(sent <= total ? chunk : null)
      },
    })
    source.pipe(outgoing)
  })
  const body = (await egress.fetch(request(url))).body as Readable
  let before = -1
  // Kernel buffers fill, then the origin stands still.
  while (before !== sent) {
    before = sent
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  assert.ok(sent < total / 2, `${sent} bytes were taken`)
  let received = 0
  for await (const chunk of body) received += (chunk as Buffer).length
  assert.equal(received, total)
})

test('a big upload is read only as fast as the origin takes it', async (t) => {
  let resume = () => {}
  const { url, egress } = await withHttp(t, (incoming, outgoing) => {
    resume = () => incoming.resume().on('end', () => outgoing.end('done'))
  })
  let read = 0
  const total = 64 * 1024 * 1024
  const chunk = Buffer.alloc(256 * 1024)
  const body = new Readable({
    read() {
      read += chunk.length
      this.push(read <= total ? chunk : null)
    },
  })
  const answer = egress.fetch(request(url, { method: 'PUT', body }))
  let before = -1
  while (before !== read || read === 0) {
    before = read
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  assert.ok(read < total / 2, `${read} bytes were read`)
  resume()
  assert.equal(await textOf((await answer).body), 'done')
})

test('WebSocket upgrades hand over the connection', async (t) => {
  const { url, egress, server } = await withHttp(t, (_incoming, outgoing) =>
    outgoing.writeHead(426).end('upgrade first'),
  )
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (incoming, socket, head) => {
    if (incoming.url === '/no') socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno')
    else if (incoming.url === '/other')
      socket.end('HTTP/1.1 101 Switching\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n')
    else sockets.handleUpgrade(incoming, socket, head, (ws) => ws.send('hello'))
  })
  const headers = ['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version', '13']
  const gone = new AbortController()
  const answer = await egress.fetch(request(url, { headers, wantsUpgrade: true, signal: gone.signal }))
  assert.equal(answer.status, 101)
  assert.equal(
    answer.headers[answer.headers.findIndex((name) => name.toLowerCase() === 'sec-websocket-accept') + 1],
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
  )
  const [frame] = (await once(answer.upgraded!, 'data')) as [Buffer]
  assert.equal(frame.subarray(2).toString(), 'hello')
  gone.abort()
  await once(answer.upgraded!, 'close')
  const refused = await egress.fetch(request(`${url}/no`, { headers, wantsUpgrade: true }))
  assert.deepEqual([refused.status, refused.upgraded, await textOf(refused.body)], [403, undefined, 'no'])
  await assert.rejects(egress.fetch(request(`${url}/other`, { headers, wantsUpgrade: true })), {
    code: 'origin_failed',
  })
})

test('an origin that is not there', async (t) => {
  const server = createTcpServer()
  const port = await listenOn(server)
  await new Promise((resolve) => server.close(resolve))
  const egress = openEgress()
  t.after(() => egress.close())
  await assert.rejects(egress.fetch(request(`http://127.0.0.1:${port}/`)), {
    code: 'origin_refused',
    message: /^127\.0\.0\.1 refused/,
  })
  await assert.rejects(egress.fetch(request(`http://nowhere.example:${port}/`)), {
    code: 'origin_unresolved',
    message: /nowhere\.example/,
  })
})

test('the second address of a name is tried when the first refuses', async (t) => {
  const server = createHttpServer((_incoming, outgoing) => outgoing.end('second'))
  const port = await listenOn(server, '127.0.0.2')
  const egress = openEgress({ lookup: async () => ({ addresses: ['127.0.0.1', '::1', '127.0.0.2'], ttl: 1000 }) })
  t.after(async () => {
    await egress.close()
    server.close()
  })
  assert.equal(await textOf((await egress.fetch(request(`http://two.example:${port}/`))).body), 'second')
})

test('an origin that never answers, and one that stops in the middle', async (t) => {
  const limits = { originFirstByteMs: 200, originBetweenBytesMs: 200 }
  const silent = await withTcp(t, () => {}, limits)
  await assert.rejects(silent.egress.fetch(request(silent.url)), { code: 'origin_timeout', message: /no answer/ })
  const stuck = await withTcp(t, (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc'), limits)
  const answer = await stuck.egress.fetch(request(stuck.url))
  await assert.rejects(textOf(answer.body), { code: 'origin_timeout', message: /stopped sending/ })
})

test('an origin that drips is read to its end', async (t) => {
  const { url, egress } = await withHttp(
    t,
    (_incoming, outgoing) => {
      let left = 30
      const timer = setInterval(() => {
        if (left-- > 0) outgoing.write('.')
        else clearInterval(timer)
        if (left < 0) outgoing.end()
      }, 20)
    },
    { originBetweenBytesMs: 400 },
  )
  assert.equal((await textOf((await egress.fetch(request(url))).body)).length, 30)
})

test('a body that the origin cuts short is an error, not an end', async (t) => {
  const cuts = [
    'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n',
  ]
  for (const bytes of cuts) {
    const { url, egress } = await withTcp(t, (socket) => socket.end(bytes))
    const answer = await egress.fetch(request(url))
    await assert.rejects(textOf(answer.body), { code: 'origin_failed' }, bytes)
  }
  const closing = await withTcp(t, (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nuntil the end'))
  assert.equal(await textOf((await closing.egress.fetch(request(closing.url))).body), 'until the end')
})

test('answers that are no HTTP', async (t) => {
  const wrong = [
    '',
    'SSH-2.0-OpenSSH\r\n',
    'HTTP/1.1 2OO OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\nbad field\r\n\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab',
    'HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(5000)}\r\n\r\n`,
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
  ]
  for (const bytes of wrong) {
    const { url, egress } = await withTcp(t, (socket) => socket.end(bytes), { originHeaderBytes: 4096 })
    await assert.rejects(egress.fetch(request(url)), { code: 'origin_failed' }, bytes.slice(0, 60))
  }
})

test('a requester that leaves ends the exchange with the origin', async (t) => {
  const closed: string[] = []
  const early = new AbortController()
  const { url, egress } = await withHttp(t, (incoming, outgoing) => {
    outgoing.on('close', () => closed.push(incoming.url!))
    if (incoming.url === '/body') outgoing.write('x')
    if (incoming.url === '/head') early.abort()
  })
  const waiting = egress.fetch(request(`${url}/head`, { signal: early.signal }))
  await assert.rejects(waiting, { code: 'client_gone' })
  const late = new AbortController()
  const answer = await egress.fetch(request(`${url}/body`, { signal: late.signal }))
  late.abort()
  await assert.rejects(textOf(answer.body), { code: 'client_gone' })
  const dropped = await egress.fetch(request(`${url}/body`))
  ;(dropped.body as Readable).destroy()
  while (closed.length < 3) await new Promise((resolve) => setTimeout(resolve, 5))
  const never = egress.fetch(request(`${url}/never`, { signal: AbortSignal.abort() }))
  await assert.rejects(never, { code: 'client_gone' })
})

test('a body that breaks while it is sent fails the request', async (t) => {
  const body = new Readable({ read() {} })
  body.push('some')
  const { url, egress } = await withHttp(t, (incoming) => {
    incoming.on('error', () => {}).once('data', () => body.destroy(new Error('the client reset the connection')))
  })
  const answer = egress.fetch(request(url, { method: 'POST', body }))
  await assert.rejects(answer, { code: 'origin_failed' })
  const short = Readable.from([Buffer.from('abc')])
  const wrong = egress.fetch(request(url, { method: 'POST', body: short, headers: ['content-length', '9'] }))
  await assert.rejects(wrong, { code: 'bad_request' })
})

test('one origin takes only so many requests, and gives its places back', async (t) => {
  let answerAll = () => {}
  const held: (() => void)[] = []
  const { url, egress } = await withHttp(
    t,
    (_incoming, outgoing) => {
      held.push(() => outgoing.end('x'))
      if (held.length === 2) answerAll()
    },
    { originRequests: 2 },
  )
  const full = new Promise<void>((resolve) => {
    answerAll = resolve
  })
  const first = [egress.fetch(request(url)), egress.fetch(request(url))]
  await full
  await assert.rejects(egress.fetch(request(url)), { code: 'overloaded' })
  for (const end of held) end()
  for (const answer of await Promise.all(first)) await textOf(answer.body)
  held.length = 0
  const next = egress.fetch(request(url))
  while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  held[0]!()
  assert.equal((await next).status, 200)
})

test('the number of origins is bounded: the one not used for longest goes', async (t) => {
  const connections: string[] = []
  const server = createHttpServer((incoming, outgoing) => outgoing.end(incoming.headers.host))
  server.on('connection', () => connections.push('new'))
  const port = await listenOn(server)
  const egress = openEgress({ limits: { origins: 2 }, lookup: async () => ({ addresses: ['127.0.0.1'], ttl: 60_000 }) })
  t.after(async () => {
    await egress.close()
    server.close()
  })
  for (const host of ['a', 'b', 'a', 'c', 'a', 'b'])
    await textOf((await egress.fetch(request(`http://${host}.example:${port}/`))).body)
  // a stays, b goes for c, c goes for b.
  assert.equal(connections.length, 4)
})
