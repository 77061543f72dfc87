/** What passes through a site to its origin unchanged, and what never gets there: seen from both ends of a real node. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { host, say, startDelivery } from './support/delivery.ts'
import { startNode } from './support/node.ts'

const fresh = { 'cache-control': 'max-age=60' }

test('a WebSocket of an origin, joined byte for byte', { timeout: 60_000 }, async (t) => {
  const server = createServer()
  const sockets = new WebSocketServer({ server, path: '/socket' })
  sockets.on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }))
    socket.on('close', () => closed.resolve())
  })
  const closed = Promise.withResolvers<void>()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    sockets.close()
    server.closeAllConnections()
    server.close()
  })
  const node = await startNode(t)
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const added = await node.api('/rimward/v1/sites', { method: 'POST', body: JSON.stringify({ name: 'shop', origin }) })
  assert.equal(added.status, 201)
  const socket = new WebSocket(`${node.addresses.http.replace('http', 'ws')}/socket`, { headers: { host } })
  const heard: (string | number)[] = []
  const all = Promise.withResolvers<void>()
  socket.on('message', (data: Buffer, binary) => {
    heard.push(binary ? data.length : String(data))
    if (heard.length === 3) all.resolve()
  })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  socket.send('one')
  socket.send(Buffer.alloc(300_000))
  socket.send('two')
  await all.promise
  assert.deepEqual(heard, ['one', 300_000, 'two'])
  socket.close()
  await closed.promise
})

test('an upload of 300 kB arrives whole, and a second one on the same connection too', {
  timeout: 60_000,
}, async (t) => {
  const { origin, get } = await startDelivery(t)
  origin.on('/upload', (asked, answer) => {
    let bytes = 0
    asked.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    asked.on('end', () => answer.writeHead(200).end(`${asked.method} ${bytes}`))
  })
  for (const method of ['POST', 'PUT', 'POST'])
    assert.equal((await get('/upload', { method, body: 'x'.repeat(300_000) })).text, `${method} 300000`)
})

test('one request is one request at the origin, whatever its frame pretends', { timeout: 60_000 }, async (t) => {
  const { node, origin } = await startDelivery(t)
  const { hostname, port } = new URL(node.addresses.http)
  origin.on('/', say(fresh))
  origin.on('/smuggled', say(fresh, 'smuggled'))
  const smuggled = `GET /smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`
  const chunkedIn = `${(smuggled.length + 20).toString(16)}\r\n${smuggled}`
  const post = `POST / HTTP/1.1\r\nHost: ${host}\r\n`
  const attacks: Record<string, string> = {
    'CL.TE': `${post}Content-Length: ${5 + smuggled.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    'TE.CL': `${post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n${chunkedIn}\r\n0\r\n\r\n`,
    'TE.TE': `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n${smuggled}`,
    'TE with a tab': `${post}Transfer-Encoding:\tchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${smuggled}`,
    'space before the colon': `${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    'CL.0 by two lengths': `${post}Content-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    'bare LF': `POST / HTTP/1.1\nHost: ${host}\nContent-Length: 0\n\n${smuggled}`,
    'obs-fold': `${post}X-A: b\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    'line end in a chunk size': `${post}Transfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n${smuggled}`,
    'a chunk longer than its size': `${post}Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n${smuggled}`,
  }
  for (const [name, bytes] of Object.entries(attacks)) {
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    socket.write(bytes, 'latin1')
    let text = ''
    socket.on('data', (chunk) => {
      text += String(chunk)
    })
    // The connection ends with the refusal: nothing behind it is a request.
    await new Promise((resolve) => socket.once('close', resolve))
    // A frame that breaks inside a body already on its way to the origin has no answer but the end.
    const inside = name.includes('chunk') && text === ''
    assert.ok(inside || /^HTTP\/1\.1 400 /.test(text), `${name}: ${text}`)
    assert.ok(text.split('HTTP/1.1 ').length <= 2, `${name}: one answer at most`)
    assert.equal(origin.seen('/smuggled').length, 0, name)
  }

  // H2.CL and H2.TE: what HTTP/2 says about its frame is no frame of HTTP/1.1 behind.
  const session = connectHttp2(node.addresses.http)
  t.after(() => session.destroy())
  const bad: Record<string, string>[] = [{ 'content-length': '0' }, { 'content-length': '3' }]
  for (const fields of bad) {
    const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': host, ...fields })
    stream.on('error', () => {})
    stream.end(smuggled)
    await new Promise((resolve) => stream.resume().once('close', resolve))
    assert.equal(origin.seen('/smuggled').length, 0, JSON.stringify(fields))
  }
  assert.equal((await node.get(host, '/')).text, 'hello')
  for (const { body } of origin.seen('/')) assert.equal(body.includes('smuggled'), false)
})

test('keys from outside: nothing is merged that nobody asked to merge', { timeout: 60_000 }, async (t) => {
  const { node, origin, get } = await startDelivery(t)
  const apart = ['/A', '/%41', '/x/./y', '/x/y', '/x//y', '/x%2fy', '/x%2Fy', '/q?a=1&b=2', '/q?b=2&a=1', '/q?a=1&a=2']
  for (const path of apart) origin.on(path, say(fresh, path))
  for (const round of ['MISS', 'HIT'])
    for (const path of apart) {
      const { text, headers } = await get(path)
      assert.deepEqual([text, headers['cf-cache-status']], [path, round], path)
    }
  const added = await node.api('/rimward/v1/sites', {
    method: 'POST',
    body: JSON.stringify({
      name: 'shaped',
      origin: origin.url,
      hosts: ['shaped.example'],
      cache: { key: { sortQuery: true, ignoreHost: true, headers: ['x-device'], cookies: ['plan'] } },
    }),
  })
  assert.equal(added.status, 201, await added.text())
  const first = '/s?a=1&b=2'
  for (const path of [first, '/s?b=2&a=1', '/s?a=2&a=1', '/s?a=1&a=2']) origin.on(path, say(fresh, path))
  const rows: [string, string, Record<string, string>, 'MISS' | 'HIT'][] = [
    ['shaped.localhost', first, {}, 'MISS'],
    ['shaped.localhost', '/s?b=2&a=1', {}, 'HIT'],
    ['shaped.example', '/s?b=2&a=1', {}, 'HIT'],
    ['shaped.localhost', '/s?a=2&a=1', {}, 'MISS'],
    ['shaped.localhost', '/s?a=1&a=2', {}, 'MISS'],
    ['shaped.localhost', first, { 'x-device': 'tv' }, 'MISS'],
    ['shaped.localhost', first, { cookie: 'plan=pro; id=1' }, 'MISS'],
    ['shaped.localhost', first, { cookie: 'id=2; plan=pro' }, 'HIT'],
    ['shaped.localhost', first, { cookie: 'id=3' }, 'HIT'],
  ]
  for (const [name, path, headers, expected] of rows)
    assert.equal((await node.get(name, path, { headers })).headers['cf-cache-status'], expected, `${name} ${path}`)
})

test('what is said to delivery networks goes before Cache-Control, and no further where it is ours alone', async (t) => {
  const { origin, get } = await startDelivery(t)
  const rows: [Record<string, string>, 'HIT' | 'DYNAMIC', string | undefined][] = [
    [{ 'surrogate-control': 'max-age=60', 'cache-control': 'no-store' }, 'HIT', undefined],
    [{ 'surrogate-control': 'no-store', 'cache-control': 'max-age=60' }, 'DYNAMIC', undefined],
    [{ 'surrogate-control': 'max-age=60', 'cdn-cache-control': 'no-store' }, 'HIT', 'no-store'],
    [{ 'surrogate-control': 'private', 'cloudflare-cdn-cache-control': 'max-age=60' }, 'DYNAMIC', undefined],
    [{ 'cloudflare-cdn-cache-control': 'max-age=60', 'cdn-cache-control': 'no-store' }, 'HIT', 'no-store'],
    [{ 'cdn-cache-control': 'max-age=60', 'cache-control': 'private' }, 'HIT', 'max-age=60'],
    [{ 'cdn-cache-control': 'no-store', 'cache-control': 'max-age=60' }, 'DYNAMIC', 'no-store'],
  ]
  for (const [index, [fields, expected, shown]] of rows.entries()) {
    const path = `/surrogate?${index}`
    origin.on(path, say(fields))
    await get(path)
    const { headers } = await get(path)
    assert.equal(headers['cf-cache-status'], expected, JSON.stringify(fields))
    assert.deepEqual(
      [headers['surrogate-control'], headers['cloudflare-cdn-cache-control'], headers['cdn-cache-control']],
      [undefined, undefined, shown],
    )
    assert.equal(headers['cache-control'], fields['cache-control'])
  }
})
