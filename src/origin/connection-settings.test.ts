/** TLS and time limits of single origins, against real servers. */
import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import { before, type TestContext, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { defaultLimits } from '#/core/limits.ts'
import type { OriginConnection } from '#/core/origin.ts'
import { createConnectionSettings } from './connection-settings.ts'
import { listenOn, openEgress, request, textOf } from './origin.fixture.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const certificates: Record<'origin' | 'client', { cert: string; key: string }> = {
  origin: { cert: '', key: '' },
  client: { cert: '', key: '' },
}

before(async () => {
  x509.cryptoProvider.set(webcrypto as Crypto)
  for (const who of ['origin', 'client'] as const) {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const made = await x509.X509CertificateGenerator.createSelfSigned({
      name: `CN=${who}`,
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: `${who}.example` }]),
      ],
    })
    const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
    certificates[who] = { cert: made.toString('pem'), key }
  }
})

/** Answers with what TLS told it; resolves to its URL. */
async function secure(t: TestContext, options: ServerOptions = {}): Promise<string> {
  const server = createServer({ ...certificates.origin, ...options }, (incoming, outgoing) => {
    const socket = incoming.socket as TLSSocket & { servername?: string }
    const { subject } = socket.getPeerCertificate() ?? {}
    outgoing.end(`${socket.servername} ${socket.getProtocol()} ${subject?.CN ?? 'nobody'} ${incoming.headers.host}`)
  })
  const port = await listenOn(server)
  t.after(() => server.close())
  return `https://127.0.0.1:${port}/`
}

function open(t: TestContext) {
  const seal = { open: (sealed: string) => sealed.replace(/^sealed:/, '') }
  const egress = openEgress({ seal })
  t.after(() => egress.close())
  return async (url: string, connection?: OriginConnection) => {
    const by = { site: 'shop' }
    const answer = await egress.fetch(request(url, { by, ...(connection && { connection }) }))
    return textOf(answer.body)
  }
}

test('certificates are checked as the settings say', async (t) => {
  const ask = open(t)
  const url = await secure(t)
  const { port } = new URL(url)
  const ca = { caCertificate: certificates.origin.cert }
  const sni = { sniHostname: 'origin.example' }
  const cases: [OriginConnection | undefined, string | RegExp][] = [
    [undefined, /not trusted/],
    [{ ...ca }, /ALTNAME|not trusted/],
    [{ caCertificate: certificates.client.cert, ...sni }, /not trusted/],
    [{ ...ca, ...sni }, `origin.example TLSv1.3 nobody 127.0.0.1:${port}`],
    [{ ...ca, certificateHostname: 'origin.example' }, `false TLSv1.3 nobody 127.0.0.1:${port}`],
    [{ ...ca, ...sni, certificateHostname: 'other.example' }, /ALTNAME|not trusted/],
    [{ checkCertificate: false }, `false TLSv1.3 nobody 127.0.0.1:${port}`],
    [{ ...ca, ...sni, maxTlsVersion: '1.2' }, `origin.example TLSv1.2 nobody 127.0.0.1:${port}`],
  ]
  for (const [connection, expected] of cases) {
    if (typeof expected === 'string') assert.equal(await ask(url, connection), expected)
    else await assert.rejects(ask(url, connection), { code: 'origin_failed', message: expected })
  }
  const ancient = await secure(t, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })
  await assert.rejects(ask(ancient, { ...ca, ...sni }), { code: 'origin_failed', message: /No TLS connection/ })
  assert.match(await ask(ancient, { ...ca, ...sni, minTlsVersion: '1.0' }), /^origin\.example TLSv1\.1 /)
  const old = await secure(t, { maxVersion: 'TLSv1.2' })
  await assert.rejects(ask(old, { ...ca, ...sni, minTlsVersion: '1.3' }), { code: 'origin_failed' })
})

test('a client certificate is shown, and its connection is nobody else’s', async (t) => {
  const ask = open(t)
  const url = await secure(t, { requestCert: true, rejectUnauthorized: true, ca: [certificates.client.cert] })
  const ca = { caCertificate: certificates.origin.cert, sniHostname: 'origin.example' }
  const { cert, key } = certificates.client
  const shown = { ...ca, clientCertificate: cert, clientKey: `sealed:${key}` }
  assert.match(await ask(url, shown), /^origin\.example TLSv1\.3 client /)
  await assert.rejects(ask(url, ca), { code: 'origin_failed' })
  assert.match(await ask(url, { ...shown }), / client /)
})

test('time limits of one origin', async (t) => {
  const server = createHttpServer((incoming, outgoing) => {
    if (incoming.url !== '/silent') outgoing.write('drip')
  })
  const url = `http://127.0.0.1:${await listenOn(server)}`
  const ask = open(t)
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  await assert.rejects(ask(`${url}/silent`, { firstByteTimeoutMs: 100 }), { code: 'origin_timeout' })
  await assert.rejects(ask(`${url}/drip`, { betweenBytesTimeoutMs: 100 }), { code: 'origin_timeout' })
})

test('a connection serves as often as it may', async (t) => {
  let connections = 0
  const server = createHttpServer((_incoming, outgoing) => outgoing.end('ok'))
  server.on('connection', () => connections++)
  const url = `http://127.0.0.1:${await listenOn(server)}`
  const ask = open(t)
  t.after(() => server.close())
  const connection = { maxUse: 2, maxConnections: 1 }
  for (let count = 0; count < 6; count++) assert.equal(await ask(url, connection), 'ok')
  assert.equal(connections, 3)
})

test('sites have the defaults of Fastly, programs those of the limits; equal settings share', () => {
  const settingsOf = createConnectionSettings({ limits: defaultLimits })
  const site = settingsOf({ site: 'a' }, undefined)
  assert.deepEqual(
    [site.connectMs, site.firstByteMs, site.betweenBytesMs, site.connections],
    [1_000, 15_000, 10_000, 200],
  )
  assert.equal(settingsOf({ program: 'p' }, undefined).firstByteMs, defaultLimits.originFirstByteMs)
  const keys = [{}, { maxUse: 1 }, { maxUse: 1 }, { sniHostname: 'a' }].map((one) => settingsOf({ site: 'a' }, one).key)
  assert.equal(keys[1], keys[2])
  assert.equal(new Set([...keys, site.key, '']).size, 5)
})
