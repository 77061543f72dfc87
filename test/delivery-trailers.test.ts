/** Fields behind a body, from an origin to clients of HTTP/1.1 and HTTP/2: RFC 9110 §6.5, and gRPC, which lives on them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createSecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { selfSigned } from '#/edge/self-signed.fixture.ts'
import { host, say, startDelivery } from './support/delivery.ts'
import { startNode } from './support/node.ts'

interface Streamed {
  readonly headers: IncomingHttpHeaders
  readonly trailers: IncomingHttpHeaders | undefined
  readonly body: Buffer
  /** The head ended the stream: nothing came behind it. */
  readonly headOnly: boolean
}

async function ask(session: ClientHttp2Session, fields: Record<string, string>, body?: Buffer): Promise<Streamed> {
  const stream = session.request({ ':authority': host, ...fields }, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  let trailers: IncomingHttpHeaders | undefined
  stream.on('trailers', (list) => {
    trailers = list
  })
  const [headers, flags] = (await once(stream, 'response')) as [IncomingHttpHeaders, number]
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return { headers, trailers, body: Buffer.concat(chunks), headOnly: (flags & 1) === 1 }
}

function openHttp2(t: TestContext, address: string): ClientHttp2Session {
  const session = connectHttp2(address)
  t.after(() => session.destroy())
  return session
}

/** Everything that comes back on a connection which both sides then close. */
async function raw(address: string, head: string): Promise<string> {
  const { hostname, port } = new URL(address)
  const socket = connect(Number(port), hostname)
  socket.write(`${head.replaceAll('\n', '\r\n')}\r\n\r\n`)
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}

test('trailers of an origin reach the clients that read them', { timeout: 60_000 }, async (t) => {
  const { node, origin } = await startDelivery(t)
  origin.on('/signed', (_asked, answer) => {
    answer.writeHead(200, { 'cache-control': 'max-age=60', trailer: 'x-sum' })
    answer.write('body')
    answer.addTrailers({ 'x-sum': 'abc', 'cache-control': 'no-store', 'set-cookie': 'a=b' })
    answer.end()
  })
  const request = (more: string) => `GET /signed HTTP/1.1\nHost: ${host}\nConnection: close${more}`

  const signed = await raw(node.addresses.http, request('\nTE: trailers'))
  assert.match(signed, /\r\n4\r\nbody\r\n0\r\nx-sum: abc\r\n\r\n$/)
  assert.equal(origin.seen('/signed')[0]!.headers.te, 'trailers')
  // What is stored is the answer without them: they may be dropped anywhere on the way (RFC 9110 §6.5.1).
  const hit = await raw(node.addresses.http, request('\nTE: trailers'))
  assert.match(hit, /cf-cache-status: HIT\r\n/i)
  assert.match(hit, /content-length: 4\r\n(?:.+\r\n)*\r\nbody$/i)

  origin.on('/live', (_asked, answer) => {
    answer.writeHead(200, { 'cache-control': 'no-store' })
    answer.write('body')
    answer.addTrailers({ 'x-sum': 'abc' })
    answer.end()
  })
  const unasked = await raw(node.addresses.http, `GET /live HTTP/1.1\nHost: ${host}\nConnection: close`)
  assert.match(unasked, /\r\n4\r\nbody\r\n0\r\n\r\n$/)
  assert.equal(origin.seen('/live')[0]!.headers.te, undefined)

  const session = openHttp2(t, node.addresses.http)
  const live = await ask(session, { ':path': '/live' })
  assert.deepEqual([String(live.body), live.trailers?.['x-sum']], ['body', 'abc'])
  origin.on('/plain', say({ 'cache-control': 'no-store' }))
  assert.equal((await ask(session, { ':path': '/plain' })).trailers, undefined)
})

test('gRPC: messages, status behind them, and errors that are a head alone', { timeout: 60_000 }, async (t) => {
  const { chain, key } = await selfSigned('grpc.test')
  const seen: IncomingHttpHeaders[] = []
  const server = createSecureServer({ cert: chain, key })
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    seen.push(headers)
    if (headers[':path'] === '/shop.Prices/Missing') {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12', 'grpc-message': 'no such method' },
        { endStream: true },
      )
      return
    }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine' }))
    // Each message comes back: RFC-less framing of gRPC is one byte of flags, four of length, then the message.
    stream.on('data', (chunk: Buffer) => stream.write(chunk))
    stream.on('end', () => stream.end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const node = await startNode(t)
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const origins = [{ url, sniHostname: 'grpc.test', certificateHostname: 'grpc.test', caCertificate: chain }]
  const body = JSON.stringify({ name: 'shop', origins })
  const added = await node.api('/rimward/v1/sites', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  assert.equal(added.status, 201, await added.text())

  const session = openHttp2(t, node.addresses.http)
  const grpc = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' }
  const message = Buffer.concat([Buffer.from([0, 0, 0, 0, 5]), Buffer.from('hello')])
  const answer = await ask(session, { ...grpc, ':path': '/shop.Prices/Echo' }, Buffer.concat([message, message]))
  assert.deepEqual(answer.body, Buffer.concat([message, message]))
  assert.equal(answer.headers['content-type'], 'application/grpc')
  assert.equal(answer.headers['content-encoding'], undefined)
  assert.deepEqual([answer.trailers?.['grpc-status'], answer.trailers?.['grpc-message']], ['0', 'fine'])
  assert.equal(seen[0]!.te, 'trailers')

  const missing = await ask(session, { ...grpc, ':path': '/shop.Prices/Missing' }, message)
  assert.deepEqual([missing.headers['grpc-status'], missing.headOnly], ['12', true])

  // A call that stays open: each side hears the other before anybody has finished.
  const call = session.request({ ':authority': host, ...grpc, ':path': '/shop.Prices/Watch' })
  call.write(message)
  const [first] = (await once(call, 'data')) as [Buffer]
  assert.deepEqual(first, message)
  call.end(message)
  const trailers = once(call, 'trailers') as Promise<[IncomingHttpHeaders]>
  const rest: Buffer[] = []
  for await (const chunk of call) rest.push(chunk as Buffer)
  assert.deepEqual(Buffer.concat(rest), message)
  assert.equal((await trailers)[0]['grpc-status'], '0')
})
