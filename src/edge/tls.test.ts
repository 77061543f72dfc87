/**
 * TLS with real clients: certificates by name, look-ups that fail, resumption, versions, warming.
 */
import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import { test } from 'node:test'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import type { Certificate } from '#/core/certificates.ts'
import { aSite, aSnapshot, readAll, startEdge, textOf, until } from './edge.fixture.ts'
import { selfSigned } from './self-signed.fixture.ts'

const certificate = await selfSigned('hello.localhost')

async function forName(name: string): Promise<Certificate | undefined> {
  if (name === 'throws.localhost') throw new Error('look-up failed')
  if (name === 'hangs.localhost') return new Promise(() => {})
  if (name === 'broken.localhost') return { chain: 'no', key: 'pem' }
  return name === 'hello.localhost' || name === 'localhost' ? certificate : undefined
}

const listen = { http: { host: '127.0.0.1', port: 0 }, https: { host: '127.0.0.1', port: 0 } }
const certificates = {
  forName,
  challenge: async (_host: string, token: string) => (token === 'open' ? 'proof' : undefined),
}

function open(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      { port, host: '127.0.0.1', servername: 'hello.localhost', rejectUnauthorized: false, ...options },
      () => resolve(socket),
    )
    socket.on('error', reject)
  })
}

const get = 'GET / HTTP/1.1\r\nHost: hello.localhost\r\nConnection: close\r\n\r\n'

test('HTTP/1 and HTTP/2 by ALPN; the program learns version and cipher', async (t) => {
  const { tlsPort, seen } = await startEdge(t, { options: { listen, certificates } })
  const socket = await open(tlsPort, { ALPNProtocols: ['http/1.1'] })
  socket.write(get)
  assert.match(await readAll(socket), /^HTTP\/1.1 200 /)
  const client = connectHttp2(`https://127.0.0.1:${tlsPort}`, {
    servername: 'hello.localhost',
    rejectUnauthorized: false,
  })
  t.after(() => client.destroy())
  assert.equal(await textOf(client.request({ ':path': '/', ':authority': 'hello.localhost' })), 'hello')
  const [first, second] = seen.map((request) => JSON.parse(request.cf))
  assert.deepEqual([first.tlsVersion, first.httpProtocol, second.httpProtocol], ['TLSv1.3', 'HTTP/1.1', 'HTTP/2'])
  assert.match(first.tlsCipher, /^TLS_AES/)
  assert.equal(seen[0]!.scheme, 'https')
})

test('a look-up that throws, hangs, is broken or knows nothing harms nobody else', async (t) => {
  const { tlsPort, metrics } = await startEdge(t, {
    options: { listen, certificates },
    limits: { certificateLookupMs: 50 },
  })
  const bad = ['throws.localhost', 'hangs.localhost', 'broken.localhost', 'unknown.localhost']
  const results = bad.map((servername) => assert.rejects(open(tlsPort, { servername })))
  const socket = await open(tlsPort)
  socket.write(get)
  assert.match(await readAll(socket), /^HTTP\/1.1 200 /)
  await Promise.all(results)
  assert.match(await metrics.registry.metrics(), /rimward_refused_total\{reason="tls_handshake"\} 4/)
  const nameless = await open(tlsPort, { servername: '' })
  nameless.destroy()
})

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
  test(`${maxVersion} sessions are resumed by ticket`, async (t) => {
    const { tlsPort } = await startEdge(t, { options: { listen, certificates } })
    const first = await open(tlsPort, { maxVersion })
    // TLS 1.2 has its session with the handshake, 1.3 gets tickets after it.
    let session = maxVersion === 'TLSv1.2' ? first.getSession() : undefined
    first.on('session', (ticket) => {
      session = ticket
    })
    first.write(get)
    await readAll(first)
    const second = await open(tlsPort, { maxVersion, session })
    assert.equal(second.isSessionReused(), true)
    second.destroy()
  })

test('TLS 1.1 and weak ciphers are refused', async (t) => {
  const { tlsPort } = await startEdge(t, { options: { listen, certificates } })
  const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  await assert.rejects(open(tlsPort, old))
  await assert.rejects(open(tlsPort, { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }))
})

test('the ClientHello warms the program of its name', async (t) => {
  const warmed: string[] = []
  const engine = {
    warm: (program: { name: string }) => void warmed.push(program.name),
    run: () => new Promise<never>(() => {}),
  }
  const snapshot = aSnapshot([aSite()])
  const { tlsPort } = await startEdge(t, { options: { listen, certificates, engine, snapshot: () => snapshot } })
  const socket = await open(tlsPort)
  await until(() => warmed.length === 1)
  assert.deepEqual(warmed, ['hello'])
  socket.destroy()
})

test('an ACME challenge is answered on the cleartext port while it is open', async (t) => {
  const { port } = await startEdge(t, { options: { listen, certificates } })
  const path = '/.well-known/acme-challenge'
  assert.equal(await (await fetch(`http://127.0.0.1:${port}${path}/open`)).text(), 'proof')
  assert.equal((await fetch(`http://127.0.0.1:${port}${path}/other`)).status, 404)
})
