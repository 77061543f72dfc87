/** Origins that are not there, are slow, break off or speak nonsense, requesters that leave, and what is bounded. */
import assert from 'node:assert/strict'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { test } from 'node:test'
import { listenOn, openEgress, request, textOf, withHttp, withTcp } from './origin.fixture.ts'

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
  await assert.rejects(answer, { code: 'client_gone' })
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

test('an origin that fails leaves the body of the request whole, for its owner to end', async (t) => {
  const { url, egress } = await withTcp(t, (socket) => socket.destroy())
  const body = new Readable({ read() {} })
  body.push('some')
  await assert.rejects(egress.fetch(request(url, { method: 'POST', body })), { code: 'origin_failed' })
  assert.equal(body.destroyed, false)
  body.push('more')
  body.push(null)
  await finished(body.resume())
})

test('an answer that comes before the body was sent is the answer', async (t) => {
  const { url, egress } = await withHttp(t, (_incoming, outgoing) => {
    outgoing.writeHead(413, { connection: 'close' }).end('too much')
  })
  const body = new Readable({
    read() {
      this.push(Buffer.alloc(65_536))
    },
  })
  const answer = await egress.fetch(request(url, { method: 'POST', body }))
  assert.deepEqual([answer.status, await textOf(answer.body)], [413, 'too much'])
  body.destroy()
})
