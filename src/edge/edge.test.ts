/**
 * Exchanges over HTTP/1: bodies both ways, upgrades, slow clients, drain; each leaves exactly one line.
 */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { Duplex, PassThrough, Readable } from 'node:stream'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import { headerValue } from '#/http/header-list.ts'
import { hello, rawExchange, readAll, startEdge, textOf, until } from './edge.fixture.ts'

const host = 'Host: hello.localhost\r\n'
const close = 'Connection: close\r\n'

test('a program sees what the client sent end to end, and what the platform knows', async (t) => {
  const { port, seen, logged } = await startEdge(t)
  const text = await rawExchange(
    port,
    `GET /a?b=c HTTP/1.1\r\n${host}Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\nCF-Connecting-IP: 6.6.6.6\r\nCF-Ray: x\r\nX-Forwarded-For: 5.5.5.5\r\nX-Real-IP: 6.6.6.6\r\nAccept: */*\r\n\r\n`,
  )
  assert.match(text, /^HTTP\/1.1 200 OK\r\n/)
  assert.match(text, /x-served-by: fra\r\n/)
  const { headers, cf, path, authority, body } = seen[0]!
  const ray = headerValue(headers, 'cf-ray')!
  assert.match(ray, /^[0-9a-f]{16}-FRA$/)
  assert.match(text, new RegExp(`cf-ray: ${ray}\r\n`))
  assert.deepEqual(headers, [
    ...['accept', '*/*', 'cf-connecting-ip', '127.0.0.1', 'cf-ray', ray, 'cf-visitor', '{"scheme":"http"}'],
    ...['cf-ipcountry', 'DE', 'x-forwarded-for', '5.5.5.5, 127.0.0.1', 'x-forwarded-proto', 'http'],
    ...['x-real-ip', '127.0.0.1', 'cdn-loop', 'rimward'],
  ])
  assert.deepEqual(JSON.parse(cf), { colo: 'FRA', country: 'DE', httpProtocol: 'HTTP/1.1' })
  assert.deepEqual([path, authority, body], ['/a?b=c', 'hello.localhost', null])
  const [line] = await logged(1)
  assert.equal(ray.startsWith(line!.id), true)
  assert.deepEqual([line!.status, line!.bytesOut, line!.site, line!.program], [200, 5, 'hello', 'hello'])
})

test('bodies stream both ways and are framed anew', async (t) => {
  const { port, logged } = await startEdge(t, {
    run: (request) => hello({ body: request.body ?? Buffer.from('none') }),
  })
  const chunked = `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n${close}\r\n5;evil="x"\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`
  const text = await rawExchange(port, chunked)
  assert.match(text, /transfer-encoding: chunked/i)
  assert.doesNotMatch(text, /evil/)
  assert.match(text.replace(/\r\n[0-9a-f]+\r\n/g, ''), /hello world/)
  const big = Buffer.alloc(5_000_000, 'x')
  const answer = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    body: big,
    headers: { host: 'hello.localhost' },
  })
  assert.equal(answer.status, 404, 'fetch does not send a Host of its own; the address is no site')
  const [line] = await logged(2)
  assert.deepEqual([line!.bytesIn, line!.bytesOut], [11, 11])
})

test('GET with a body is passed in its frame, and the next request on the connection is read where it begins', async (t) => {
  const bodies: string[] = []
  const { port, logged } = await startEdge(t, {
    run: async (request) => {
      bodies.push(`${request.path} ${request.path === '/unread' ? '' : await textOf(request.body)}`.trim())
      return hello()
    },
  })
  const text = await rawExchange(
    port,
    `GET /read HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhelloGET /unread HTTP/1.1\r\n${host}Content-Length: 24\r\n\r\nGET /evil HTTP/1.1\r\n\r\nxxGET /last HTTP/1.1\r\n${host}${close}\r\n`,
  )
  assert.equal(text.match(/HTTP\/1.1 200/g)?.length, 3)
  assert.deepEqual(bodies.sort(), ['/last', '/read hello', '/unread'])
  assert.equal((await logged(3)).length, 3)
})

test('a large body that nobody read ends the connection, so its rest is never taken for a request', async (t) => {
  const { port, seen, logged } = await startEdge(t, { limits: { unreadBodyBytes: 100 } })
  const text = await rawExchange(
    port,
    `POST / HTTP/1.1\r\n${host}Content-Length: 1000\r\n\r\nGET /evil HTTP/1.1\r\n${host}\r\n`,
  )
  assert.match(text, /^HTTP\/1.1 200 /)
  assert.match(text, /connection: close/i)
  assert.equal(seen.length, 1)
  assert.equal((await logged(1)).length, 1)
})

test('a chunked body beyond the limit is refused while it streams', async (t) => {
  const { port, logged } = await startEdge(t, {
    limits: { requestBodyBytes: 1000 },
    run: async (request) => hello({ body: Buffer.from(await textOf(request.body)) }),
  })
  const chunk = `200\r\n${'x'.repeat(512)}\r\n`
  const text = await rawExchange(port, [
    `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`,
    chunk,
    chunk,
    chunk,
  ])
  assert.match(text, /^HTTP\/1.1 413 /)
  assert.match(text, /connection: close/i)
  assert.equal((await logged(1))[0]!.error, 'body_too_large')
})

test('a client in the middle of a refused upload can read why, however much it still sends', async (t) => {
  const { port, metrics } = await startEdge(t, {
    limits: { requestBodyBytes: 100_000, lingerMs: 5_000 },
    run: async (request) => hello({ body: Buffer.from(await textOf(request.body)) }),
  })
  const chunk = `10000\r\n${'x'.repeat(65536)}\r\n`
  const declared = `Content-Length: ${64 * 65536}\r\n`
  for (const [field, part] of [
    ['Transfer-Encoding: chunked\r\n', chunk],
    [declared, 'x'.repeat(65536)],
  ] as const) {
    const socket = connect({ port, host: '127.0.0.1' })
    let failed: Error | undefined
    socket.on('error', (error) => {
      failed = error
    })
    const all = readAll(socket)
    socket.write(`POST / HTTP/1.1\r\n${host}${field}\r\n`)
    for (let sent = 0; sent < 64 && !socket.destroyed; sent++)
      await new Promise((resolve) => socket.write(part, () => setImmediate(resolve)))
    socket.end()
    assert.match(await all, /^HTTP\/1.1 413 /)
    assert.equal(failed, undefined)
  }
  while (!/rimward_connections 0\n/.test(await metrics.registry.metrics()))
    await new Promise((resolve) => setTimeout(resolve, 5))
})

test('100 Continue is sent when the program reads, and only then', async (t) => {
  const { port } = await startEdge(t, {
    run: async (request) => hello({ body: Buffer.from(request.path === '/read' ? await textOf(request.body) : 'no') }),
  })
  const head = (path: string) =>
    `POST ${path} HTTP/1.1\r\n${host}Expect: 100-continue\r\nContent-Length: 2\r\n${close}\r\n`
  assert.match(
    await rawExchange(port, `${head('/read')}hi`),
    /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK[\s\S]*hi$/,
  )
  assert.match(await rawExchange(port, `${head('/not')}hi`), /^HTTP\/1.1 200 OK/)
})

test('answers: HEAD, 204, 304, 103, streams with a wrong length, multiple cookies', async (t) => {
  const answers: Record<string, () => ReturnType<typeof hello>> = {
    '/204': () => hello({ status: 204, body: null, headers: ['content-length', '0'] }),
    '/304': () => hello({ status: 304, body: null, headers: ['etag', '"a"'] }),
    '/head': () => hello({ headers: ['content-length', '99'], body: null }),
    '/cookies': () =>
      hello({ headers: ['set-cookie', 'a=1', 'set-cookie', 'b=2', 'Connection', 'x-hop', 'x-hop', '1'] }),
    '/short': () => hello({ headers: ['content-length', '10'], body: Readable.from([Buffer.from('short')]) }),
    '/long': () => hello({ headers: ['content-length', '2'], body: Readable.from([Buffer.from('long!')]) }),
  }
  const { port, logged } = await startEdge(t, {
    run: (request) => {
      request.onInformational?.(103, ['link', '</a.css>; rel=preload'])
      return answers[request.path]!()
    },
  })
  const get = (path: string, method = 'GET') => rawExchange(port, `${method} ${path} HTTP/1.1\r\n${host}${close}\r\n`)
  const early = /^HTTP\/1.1 103 Early Hints\r\nlink: <\/a.css>; rel=preload\r\n\r\n/
  const noContent = await get('/204')
  assert.match(noContent, early)
  assert.match(noContent.replace(early, ''), /^HTTP\/1.1 204 No Content\r\n/)
  assert.doesNotMatch(noContent, /content-length/i)
  assert.match(await get('/304'), /304 Not Modified\r\netag: "a"[\s\S]*\r\n\r\n$/)
  assert.match(await get('/head', 'HEAD'), /content-length: 99\r\n[\s\S]*\r\n\r\n$/)
  const cookies = await get('/cookies')
  assert.match(cookies, /set-cookie: a=1\r\nset-cookie: b=2\r\n/)
  assert.doesNotMatch(cookies, /x-hop/)
  assert.match(await get('/short'), /content-length: 10\r\n[\s\S]*\r\n\r\nshort$/)
  assert.doesNotMatch(await get('/long'), /long!/)
  const lines = await logged(6)
  assert.deepEqual(
    lines.slice(4).map((line) => line.error),
    ['origin_failed', 'origin_failed'],
  )
})

test('failures become pages with their number, in the form the client likes', async (t) => {
  const { port, logged } = await startEdge(t, {
    run: (request) => {
      if (request.path === '/bug') throw new Error('secret path /etc/x')
      throw new EdgeError('program_exception', 'The program threw.')
    },
  })
  const get = (path: string, accept: string) =>
    rawExchange(port, `GET ${path} HTTP/1.1\r\n${host}${accept}${close}\r\n`)
  assert.match(await get('/', ''), /^HTTP\/1.1 500 [\s\S]*error code: 1101\nProgram threw exception\n/)
  assert.match(await get('/', 'Accept: text/html\r\n'), /text\/html[\s\S]*Error 1101/)
  assert.match(await get('/', 'Accept: application/json\r\n'), /"number":1101/)
  assert.doesNotMatch(await get('/bug', ''), /secret/)
  const lines = await logged(4)
  assert.match(lines[3]!.cause!, /secret path/)
})

test('a WebSocket is joined byte for byte, and nothing passes before the 101', async (t) => {
  const upstream = new PassThrough()
  let answerNow: () => void = () => {}
  const ready = new Promise<void>((resolve) => {
    answerNow = resolve
  })
  const { port, seen, logged } = await startEdge(t, {
    run: async () => {
      await ready
      return hello({ status: 101, headers: ['sec-websocket-accept', 'x'], body: null, upgraded: upstream })
    },
  })
  const socket = connect({ port, host: '127.0.0.1' })
  const all = readAll(socket)
  socket.write(
    `GET / HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\nearly `,
  )
  await until(() => seen.length === 1)
  assert.equal(seen[0]!.wantsUpgrade, true)
  assert.equal(upstream.readableLength, 0)
  answerNow()
  socket.write('bytes')
  await until(() => socket.bytesRead > 0)
  socket.end()
  assert.match(
    await all,
    /^HTTP\/1.1 101 Switching Protocols\r\n[\s\S]*sec-websocket-accept: x\r\n[\s\S]*\r\n\r\nearly bytes$/,
  )
  const lines = await logged(1)
  assert.deepEqual([lines.length, lines[0]!.status, lines[0]!.bytesOut], [1, 101, 11])
})

test('an upgrade that the program declines gets an ordinary answer and the end', async (t) => {
  const { port, seen, logged } = await startEdge(t, { run: () => hello({ status: 426 }) })
  const text = await rawExchange(
    port,
    `GET / HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /evil HTTP/1.1\r\n${host}\r\n`,
  )
  assert.match(text, /^HTTP\/1.1 426 [\s\S]*hello$/)
  assert.equal(seen.length, 1)
  assert.equal((await logged(1)).length, 1)
})

test('a client that leaves aborts its program and leaves one line', async (t) => {
  const { port, seen, logged } = await startEdge(t, {
    run: (request) =>
      new Promise((_resolve, reject) => request.signal.addEventListener('abort', () => reject(request.signal.reason))),
  })
  const socket = connect({ port, host: '127.0.0.1' })
  socket.write(`GET / HTTP/1.1\r\n${host}\r\n`)
  await until(() => seen.length === 1)
  socket.destroy()
  const lines = await logged(1)
  assert.deepEqual([lines.length, lines[0]!.status, lines[0]!.error], [1, 499, 'client_gone'])
})

test('slow clients: a head, a body and a reader that stall are cut', async (t) => {
  const flood = () =>
    hello({
      body: new Duplex({
        read() {
          this.push(Buffer.alloc(65536))
        },
        write() {},
      }),
    })
  const { port, logged } = await startEdge(t, {
    limits: { headersTimeoutMs: 80, bodyIdleTimeoutMs: 80, responseIdleTimeoutMs: 80 },
    run: async (request) =>
      request.path === '/flood' ? flood() : hello({ body: Buffer.from(await textOf(request.body)) }),
  })
  assert.match(await rawExchange(port, `GET / HTTP/1.1\r\n${host}`), /^HTTP\/1.1 408 /)
  assert.match(await rawExchange(port, `POST / HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhe`), /^HTTP\/1.1 408 /)
  const reader = connect({ port, host: '127.0.0.1' })
  reader.on('error', () => {})
  reader.write(`GET /flood HTTP/1.1\r\n${host}\r\n`)
  reader.pause()
  const lines = await logged(3)
  reader.destroy()
  assert.deepEqual(
    lines.map((line) => line.error),
    ['client_timeout', 'client_timeout', 'client_gone'],
  )
  // A connection that never says anything is closed without a word and without a line.
  assert.equal(await rawExchange(port, ''), '')
  assert.equal(lines.length, 3)
})

test('connections beyond the cap of an address are turned away', async (t) => {
  const { port, metrics } = await startEdge(t, { limits: { connectionsPerAddress: 2 } })
  const kept = [1, 2].map(() => connect({ port, host: '127.0.0.1' }))
  await Promise.all(kept.map((socket) => new Promise((resolve) => socket.once('connect', resolve))))
  assert.equal(await rawExchange(port, `GET / HTTP/1.1\r\n${host}\r\n`), '')
  assert.match(await metrics.registry.metrics(), /rimward_refused_total\{reason="too_many_connections"\} 1/)
  for (const socket of kept) socket.destroy()
})

test('drain finishes what is in flight and says close', async (t) => {
  let finish: () => void = () => {}
  const { edge, port, seen, logged } = await startEdge(t, {
    limits: { drainMs: 60_000 },
    run: () =>
      new Promise((resolve) => {
        finish = () => resolve(hello())
      }),
  })
  const answer = rawExchange(port, `GET / HTTP/1.1\r\n${host}\r\n`)
  const idle = connect({ port, host: '127.0.0.1' })
  const idleEnd = readAll(idle)
  await until(() => seen.length === 1)
  const drained = edge.drain()
  finish()
  assert.match(await answer, /^HTTP\/1.1 200 [\s\S]*connection: close/i)
  await idleEnd
  await drained
  assert.equal((await logged(1)).length, 1)
  const refused = connect({ port, host: '127.0.0.1' })
  await new Promise((resolve) => refused.once('error', resolve))
})

test('drain lets a slow reader have the rest of an answer that is already written', async (t) => {
  const bytes = 16_000_000
  const { edge, port, logged } = await startEdge(t, {
    limits: { drainMs: 60_000 },
    run: () => hello({ body: Buffer.alloc(bytes, 'x') }),
  })
  const socket = connect({ port, host: '127.0.0.1' })
  socket.write(`GET / HTTP/1.1\r\n${host}\r\n`)
  socket.pause()
  await logged(1)
  const drained = edge.drain()
  socket.resume()
  const text = await readAll(socket)
  assert.equal(text.length - text.indexOf('\r\n\r\n') - 4, bytes)
  await drained
})

test('an answer with a status that the request cannot get is the program’s failure', async (t) => {
  const upstream = new PassThrough()
  const { port, logged } = await startEdge(t, {
    run: (request) => hello(request.path === '/101' ? { status: 101, upgraded: upstream } : { status: 999 }),
  })
  for (const path of ['/101', '/999'])
    assert.match(await rawExchange(port, `GET ${path} HTTP/1.1\r\n${host}${close}\r\n`), /^HTTP\/1.1 500 [\s\S]*1101/)
  assert.equal(upstream.destroyed, true)
  assert.equal((await logged(2)).length, 2)
})

test('keep-alive: many requests on one connection by a real client', async (t) => {
  const { port, logged } = await startEdge(t)
  for (let round = 0; round < 3; round++) {
    const text = await new Promise<string>((resolve, reject) => {
      request({ port, host: '127.0.0.1', headers: { host: 'hello.localhost' } }, (answer) => resolve(textOf(answer)))
        .on('error', reject)
        .end()
    })
    assert.equal(text, 'hello')
  }
  assert.equal((await logged(3)).length, 3)
})
