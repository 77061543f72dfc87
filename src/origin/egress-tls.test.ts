/** TLS to origins: verification is on, SNI is the URL's host, HTTP/2 where the origin offers it. */
import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { createSecureServer } from 'node:http2'
import { createServer } from 'node:https'
import { Readable } from 'node:stream'
import { before, type TestContext, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { WebSocketServer } from 'ws'
import { defaultLimits } from '#/core/limits.ts'
import { createDialer } from './dialer.ts'
import { listenOn, openEgress, request, textOf } from './origin.fixture.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
let key = ''
let cert = ''

before(async () => {
  x509.cryptoProvider.set(webcrypto as Crypto)
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Origin',
    keys: keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: 'origin.example' },
        { type: 'ip', value: '127.0.0.1' },
      ]),
    ],
  })
  cert = made.toString('pem')
  key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
})

function open(t: TestContext, trusted = true) {
  const egress = openEgress({
    lookup: async () => ({ addresses: ['127.0.0.1'], ttl: 60_000 }),
    ...(trusted ? { tls: { ca: cert } } : {}),
  })
  t.after(() => egress.close())
  return egress
}

test('HTTP/2 where it is offered: fields, streams both ways, HEAD, abort, truncation', async (t) => {
  const versions = new Set<string>()
  const gone = new AbortController()
  const server = createSecureServer({ key, cert, allowHTTP1: true }, (incoming, outgoing) => {
    versions.add(incoming.httpVersion)
    if (incoming.url === '/cut') {
      outgoing.writeHead(200, { 'content-length': '10' })
      outgoing.write('abc', () => outgoing.stream.close(2))
      return
    }
    if (incoming.url === '/hang') return gone.abort()
    outgoing.setHeader('set-cookie', ['a=1', 'b=2'])
    outgoing.setHeader('x-seen', `${incoming.headers[':authority']} ${incoming.headers['x-two']}`)
    incoming.pipe(outgoing)
  })
  const url = `https://origin.example:${await listenOn(server)}`
  t.after(() => server.close())
  const egress = open(t)
  const body = new Readable({ read() {} })
  body.push('one')
  const headers = ['x-two', 'a', 'x-two', 'b', 'host', 'www.example']
  const answer = await egress.fetch(request(url, { method: 'POST', body, headers }))
  assert.equal(answer.status, 200)
  assert.deepEqual(
    answer.headers.filter((_field, i) => answer.headers[i - (i % 2)] === 'set-cookie'),
    ['set-cookie', 'a=1', 'set-cookie', 'b=2'],
  )
  assert.equal(answer.headers[answer.headers.indexOf('x-seen') + 1], 'www.example a, b')
  assert.ok(!answer.headers.some((field) => field.startsWith(':')))
  assert.equal(String((await once(answer.body as Readable, 'data'))[0]), 'one')
  body.push('two')
  body.push(null)
  assert.equal(await textOf(answer.body), 'two')
  const head = await egress.fetch(request(url, { method: 'HEAD' }))
  assert.deepEqual([head.status, head.body], [200, null])
  const cut = await egress.fetch(request(`${url}/cut`))
  await assert.rejects(textOf(cut.body), { code: 'origin_failed' })
  const hanging = egress.fetch(request(`${url}/hang`, { signal: gone.signal }))
  await assert.rejects(hanging, { code: 'client_gone' })
  assert.equal((await egress.fetch(request(url))).status, 200)
  assert.deepEqual([...versions], ['2.0'])
})

test('an upgrade takes HTTP/1.1 also where HTTP/2 is offered', async (t) => {
  const server = createSecureServer({ key, cert, allowHTTP1: true })
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (incoming, socket, head) =>
    sockets.handleUpgrade(incoming, socket, head, (ws) => ws.send(String(incoming.httpVersion))),
  )
  const url = `https://origin.example:${await listenOn(server)}`
  t.after(() => server.close())
  const headers = ['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version', '13']
  const answer = await open(t).fetch(request(url, { headers, wantsUpgrade: true }))
  const [frame] = (await once(answer.upgraded!, 'data')) as [Buffer]
  assert.equal(frame.subarray(2).toString(), '1.1')
  answer.upgraded!.destroy()
})

test('SNI and the name in the certificate are those of the URL', async (t) => {
  const names: (string | false | undefined)[] = []
  const server = createServer({ key, cert }, (incoming, outgoing) => {
    names.push((incoming.socket as unknown as { servername: string | false }).servername)
    outgoing.end(incoming.headers.host)
  })
  const port = await listenOn(server)
  t.after(() => server.close())
  const egress = open(t)
  const headers = ['host', 'www.example']
  const byName = await egress.fetch(request(`https://origin.example:${port}`, { headers }))
  assert.equal(await textOf(byName.body), 'www.example')
  const byAddress = await egress.fetch(request(`https://127.0.0.1:${port}`))
  assert.equal(byAddress.status, 200)
  await textOf(byAddress.body)
  assert.deepEqual(names, ['origin.example', false])
})

test('a certificate that is not trusted, or is for another name, ends the request', async (t) => {
  const server = createServer({ key, cert }, (_incoming, outgoing) => outgoing.end('x'))
  const port = await listenOn(server)
  t.after(() => server.close())
  const untrusted = open(t, false).fetch(request(`https://origin.example:${port}`))
  await assert.rejects(untrusted, { code: 'origin_failed', message: /certificate of origin\.example is not trusted/ })
  const otherName = open(t).fetch(request(`https://other.example:${port}`))
  await assert.rejects(otherName, { code: 'origin_failed', message: /certificate of other\.example/ })
  const posted = open(t, false).fetch(
    request(`https://origin.example:${port}`, { method: 'POST', body: Readable.from(['a']) }),
  )
  await assert.rejects(posted, { code: 'origin_failed', message: /not trusted/ })
})

test('TLS to a port that speaks none', async (t) => {
  const { createServer: createPlain } = await import('node:net')
  const server = createPlain((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad\r\n\r\n'))
  const port = await listenOn(server)
  t.after(() => server.close())
  await assert.rejects(open(t).fetch(request(`https://origin.example:${port}`)), {
    code: 'origin_failed',
    message: /No TLS/,
  })
})

test('connections that are dialled are checked in the same way', async (t) => {
  const server = createTlsServer({ key, cert }, (socket) => void socket.end('hello'))
  const port = await listenOn(server)
  t.after(() => server.close())
  const options = {
    rules: { grants: () => [{ names: 'network', port: true } as const] },
    limits: defaultLimits,
    clock: Date.now,
    lookup: async () => ({ addresses: ['127.0.0.1'], ttl: 1000 }),
  }
  const { signal } = new AbortController()
  const to = (host: string) => ({ by: { program: 'shop' }, host, port, tls: true, signal })
  const socket = await createDialer({ ...options, tls: { ca: cert } }).dial(to('origin.example'))
  assert.equal(String((await once(socket, 'data'))[0]), 'hello')
  await assert.rejects(createDialer(options).dial(to('origin.example')), { code: 'origin_failed' })
  await assert.rejects(createDialer({ ...options, tls: { ca: cert } }).dial(to('other.example')), {
    code: 'origin_failed',
  })
})
