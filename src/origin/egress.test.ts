/** Requests to real origins on loopback: fields, bodies both ways, upgrades. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { test } from 'node:test'
import { WebSocketServer } from 'ws'
import { request, textOf, withHttp } from './origin.fixture.ts'

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
  assert.doesNotMatch(sent, /x-mine|expect/i)
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
