import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { defaultLimits } from '#/core/limits.ts'
import { openMeshAuthority } from './authority.ts'
import { until } from './contract.fixture.ts'
import { readIdentity, writeIdentity } from './identity.ts'
import { createPlatform, fra, iad } from './nodes.fixture.ts'
import { tlsOptions } from './session-settings.ts'

test('strangers are cut at the handshake: no certificate, one of another authority, one that names no node', async (t) => {
  const platform = await createPlatform(t)
  const one = await platform.open(fra)
  const other = await createPlatform(t)
  await other.open(iad)
  const foreign = (await readIdentity(join(other.folder, 'iad')))!
  const attempt = (options: object) =>
    new Promise<string>((resolve) => {
      const socket = connectTls({ ...one.address, rejectUnauthorized: false, ALPNProtocols: ['h2'], ...options })
      // In TLS 1.3 a client hears of the refusal after its own half of the handshake.
      socket.on('secureConnect', () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      socket.on('data', () => resolve('answered'))
      socket.on('close', () => resolve('closed'))
    })
  assert.match(await attempt({}), /CERTIFICATE_REQUIRED|ECONNRESET|closed/)
  assert.match(await attempt({ key: foreign.key, cert: foreign.certificate }), /ALERT|ECONNRESET|closed/)
  assert.match(await attempt({ maxVersion: 'TLSv1.2' }), /PROTOCOL_VERSION|ECONNRESET/)
  assert.equal(one.peers().length, 0)
})

test('a certificate of the authority does not help a key that the directory does not know', async (t) => {
  const { open, fabric, seal, folder } = await createPlatform(t)
  const one = await open(fra)
  await open(iad)
  one.serve('secret', async () => ({ head: { told: true } }))
  const authority = await openMeshAuthority({ fabric, seal, clock: Date.now, limits: defaultLimits })
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const certificate = await authority.issue(iad, publicKey)
  const identity = await writeIdentity(folder, { key, certificate, authority: authority.certificate })
  const socket = connectTls({
    ...one.address,
    ...tlsOptions(identity),
    servername: 'node',
    checkServerIdentity: () => undefined,
  })
  const session = connectHttp2('https://node', { createConnection: () => socket })
  session.on('error', () => {})
  t.after(() => session.destroy())
  const call = (path: string) =>
    new Promise<string>((resolve) => {
      const stream = session.request({ ':method': 'POST', ':path': path }, { endStream: false })
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('error', () => {})
      stream.on('close', () => resolve(Buffer.concat(chunks).toString()))
      stream.end(Buffer.from('\0\0\0\x02\0\0\0\x01{}', 'latin1'))
    })
  assert.equal(await call('/ask/secret'), '')
  assert.match(await call('/hello/'), /its name has another key here/)
})

test('bytes that are no call do no harm: the node goes on answering', async (t) => {
  const { open, folder } = await createPlatform(t)
  const one = await open(fra)
  const two = await open(iad)
  await until(() => two.peers().some((peer) => peer.reachable))
  one.serve('fine', async () => ({ head: { fine: true } }))
  const identity = (await readIdentity(join(folder, 'iad')))!
  const tls = () =>
    connectTls({ ...one.address, ...tlsOptions(identity), servername: 'node', checkServerIdentity: () => undefined })
  const session = connectHttp2('https://node', { createConnection: tls })
  session.on('error', () => {})
  t.after(() => session.destroy())
  const send = (path: string, bytes: Buffer) =>
    new Promise<Buffer>((resolve) => {
      const stream = session.request({ ':method': 'POST', ':path': path }, { endStream: false })
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('error', () => {})
      stream.on('close', () => resolve(Buffer.concat(chunks)))
      stream.end(bytes)
    })
  await send('/hello/', Buffer.from('\0\0\0\x02\0\0\0\x01{}', 'latin1'))
  const frame = (kind: number, length: number, json: string) => {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt32BE(kind * 2 ** 24 + length)
    bytes.writeUInt32BE(1, 4)
    return Buffer.concat([bytes, Buffer.from(json)])
  }
  const cases: [string, Buffer, RegExp][] = [
    ['too long', frame(0, 300 * 1024, '{}'), /headers_too_large/],
    ['no JSON', frame(0, 2, '{]'), /bad_request/],
    ['no object', frame(0, 2, '[]'), /bad_request/],
    ['null', frame(0, 4, 'null'), /bad_request/],
    ['unknown kind', frame(9, 2, '{}'), /bad_request/],
    ['cut short', frame(0, 20, '{}'), /peer_away|^$/],
    ['empty', Buffer.alloc(0), /peer_away|^$/],
    ['four bytes', Buffer.alloc(4), /peer_away|^$/],
  ]
  for (const path of ['/ask/fine', '/tunnel/fine', '/ask/%', '/', '//', '/hello/'])
    for (const [name, bytes, answer] of cases) {
      if (path === '/ask/fine') assert.match((await send(path, bytes)).toString(), answer, name)
      else await send(path, bytes)
    }
  for (let i = 0; i < 200; i++) {
    const bytes = Buffer.from(Array.from({ length: 40 }, (_, at) => (i * 31 + at * 17 + i * at) & 255))
    await send(i % 2 === 0 ? '/ask/fine' : '/tunnel/fine', bytes)
  }
  const raw = connectTcp(one.address)
  raw.on('error', () => {})
  raw.end('GET / HTTP/1.1\r\n\r\n')
  const answer = await two.ask('fra', 'fine')
  answer.body.resume()
  assert.deepEqual(answer.head, { fine: true })
})
