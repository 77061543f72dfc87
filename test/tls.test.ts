/**
 * TLS as clients meet it: certificates by name from the local authority and from uploads, versions, ALPN, resumption,
 * WebSockets; and that the next start knows them all.
 */
// needs: curl
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { WebSocket } from 'ws'
import { selfSigned } from '#/edge/self-signed.fixture.ts'
import { type RunningNode, rimward, root, run, startNode, temporaryFolder, wrangler } from './support/node.ts'

const tls = { args: ['--https', '127.0.0.1:0'] }
let node: RunningNode
let folder: string
before(async () => {
  folder = await temporaryFolder(undefined, 'tls')
  node = await startNode(undefined, { data: join(folder, 'data'), ...tls })
  await wrangler(node, join(root, 'test/apps/hello'), ['deploy'])
  await wrangler(node, join(root, 'test/tls/facts'), ['deploy'])
})
after(async () => {
  await node?.stop('SIGKILL')
})

const port = (of: RunningNode) => Number(new URL(of.addresses.https!).port)
const authority = (of: RunningNode) => readFileSync(join(of.data, 'ca.pem'), 'utf8')

/** A handshake for a name; rejects when there is none. */
function handshake(of: RunningNode, servername: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: port(of), servername, ca: authority(of), ...options }, () =>
      resolve(socket),
    )
    socket.once('error', reject)
  })
}

function curl(of: RunningNode, host: string, path: string, ...args: string[]) {
  const url = `https://${host}:${port(of)}${path}`
  const resolve = ['--resolve', `${host}:${port(of)}:127.0.0.1`]
  const trust = ['--cacert', join(of.data, 'ca.pem')]
  return run('curl', ['-sS', ...trust, ...resolve, ...args, url], { cwd: folder, env: process.env })
}

test('who trusts ca.pem reaches a Worker by HTTP/2 and by HTTP/1.1, and the program learns of it', async () => {
  for (const [flag, protocol] of [
    ['--http2', 'HTTP/2'],
    ['--http1.1', 'HTTP/1.1'],
  ]) {
    const facts = JSON.parse((await curl(node, 'facts.localhost', '/', flag!)).output)
    assert.equal(facts.url, `https://facts.localhost:${port(node)}/`)
    assert.equal(facts.cf.httpProtocol, protocol)
    assert.equal(facts.cf.tlsVersion, 'TLSv1.3')
    assert.match(facts.cf.tlsCipher, /AES|CHACHA/i)
    assert.equal(facts.visitor, '{"scheme":"https"}')
  }
})

test('cleartext HTTP/2 by prior knowledge', async () => {
  const session = connectHttp2(node.addresses.http)
  const stream = session.request({ ':path': '/h2c', ':authority': 'hello.localhost' })
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  session.close()
  assert.equal(text, 'Hello from /h2c\n')
})

test('names that nobody serves get no handshake; TLS 1.1 and weak ciphers neither', async () => {
  await assert.rejects(handshake(node, 'nobody.example'), /disconnected|alert/i)
  const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  await assert.rejects(handshake(node, 'hello.localhost', old), /protocol version|alert/i)
  const weak = { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA@SECLEVEL=0' } as const
  await assert.rejects(handshake(node, 'hello.localhost', weak), /handshake failure|alert/i)
  const fine = await handshake(node, 'hello.localhost', { maxVersion: 'TLSv1.2' })
  assert.equal(fine.getProtocol(), 'TLSv1.2')
  fine.destroy()
})

test('a session is resumed', async () => {
  const first = await handshake(node, 'hello.localhost')
  const session = new Promise<Buffer>((resolve) => first.once('session', resolve))
  first.write('HEAD / HTTP/1.1\r\nHost: hello.localhost\r\nConnection: close\r\n\r\n')
  const ticket = await session
  first.destroy()
  const second = await handshake(node, 'hello.localhost', { session: ticket })
  assert.ok(second.isSessionReused())
  second.destroy()
})

test('wss: a WebSocket through TLS', async () => {
  const name = 'facts.localhost'
  const options = { headers: { host: name }, servername: name, ca: authority(node) }
  const socket = new WebSocket(`wss://127.0.0.1:${port(node)}/socket`, options)
  await new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  const answer = new Promise((resolve) => socket.once('message', (data) => resolve(String(data))))
  socket.send('over TLS')
  assert.equal(await answer, 'echo over TLS')
  socket.close()
})

test('an uploaded certificate serves its name, is refused when it does not fit, and is there after SIGKILL', async (t) => {
  const certificate = await selfSigned('shop.example')
  const other = await selfSigned('shop.example')
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return name
  }
  file('chain.pem', certificate.chain)
  file('key.pem', certificate.key)
  file('other.pem', other.key)
  const wrong = await rimward(node, folder, ['cert', 'add', '--chain', 'chain.pem', '--key', 'other.pem'])
  assert.equal(wrong.code, 1)
  assert.match(wrong.output, /^rimward: .*key/)
  const added = await rimward(node, folder, ['cert', 'add', '--chain', 'chain.pem', '--key', 'key.pem'])
  assert.match(added.output, /serves shop\.example/)

  const wanted = new X509Certificate(certificate.chain).fingerprint256
  const served = async (of: RunningNode, name: string) => {
    const socket = await handshake(of, name, { rejectUnauthorized: false })
    const { fingerprint256 } = socket.getPeerCertificate()
    socket.destroy()
    return fingerprint256
  }
  assert.equal(await served(node, 'shop.example'), wanted)
  assert.notEqual(await served(node, 'hello.localhost'), wanted)

  const trusted = authority(node)
  await node.stop('SIGKILL')
  node = await startNode(t, { data: node.data, ...tls })
  assert.equal(authority(node), trusted, 'who trusts the authority need not trust another after a restart')
  assert.equal(await served(node, 'shop.example'), wanted)
  assert.equal((await curl(node, 'hello.localhost', '/again')).output, 'Hello from /again\n')
})
