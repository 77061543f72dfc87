/** TLS of sites that are answered elsewhere goes through untouched: only the node inside has a certificate for them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { type TestContext, test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import { aSite, aSnapshot, readAll, startEdge, textOf, until } from './edge.fixture.ts'
import { selfSigned } from './self-signed.fixture.ts'

const restricted = await selfSigned('hello.localhost')
const anywhere = await selfSigned('free.localhost')

async function startNodes(t: TestContext) {
  const meshes = createMemoryMeshes()
  const sites = [
    aSite({ within: ['DE'] }),
    aSite({ name: 'free', hostnames: ['free.localhost'] }),
    aSite({ name: 'shared', hostnames: ['shared.localhost'] }),
  ]
  const snapshot = { ...aSnapshot(sites), placements: new Map() }
  const start = (node: string, country: string) => {
    const asked: string[] = []
    const certificates = {
      withinOf: (name: string) => (name === 'shared.localhost' ? ['DE'] : undefined),
      challenge: async () => undefined,
      async forName(name: string) {
        asked.push(name)
        return name === 'free.localhost'
          ? anywhere
          : ['hello.localhost', 'shared.localhost'].includes(name) && node === 'fra'
            ? restricted
            : undefined
      },
    }
    const options = {
      listen: { http: { host: '127.0.0.1', port: 0 }, https: { host: '127.0.0.1', port: 0 } },
      snapshot: () => snapshot,
      certificates,
      pop: { id: node, country },
      mesh: meshes.join({ node, pop: node, country }),
    }
    return startEdge(t, { options }).then((started) => ({ ...started, asked }))
  }
  return { meshes, fra: await start('fra', 'DE'), iad: await start('iad', 'US') }
}

async function open(port: number, servername: string): Promise<TLSSocket> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    servername,
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  })
  await once(socket, 'secureConnect')
  return socket
}

const get = (host: string) => `GET /secret-path HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`

test('the client sees the certificate of the node inside, and the node outside sees nothing', async (t) => {
  const { fra, iad } = await startNodes(t)
  const socket = await open(iad.tlsPort, 'hello.localhost')
  assert.match(`${socket.getPeerCertificate().subject.CN}`, /hello\.localhost/)
  socket.write(get('hello.localhost'))
  const text = await readAll(socket)
  assert.match(text, /^HTTP\/1.1 200 /)
  assert.match(text, /x-served-by: fra/)
  const [line] = await fra.logged(1)
  assert.deepEqual(
    [line!.path, line!.client, line!.scheme, line!.handedFrom],
    ['/secret-path', '127.0.0.1', 'https', 'iad'],
  )
  assert.equal(fra.seen[0]!.client.tls?.version, 'TLSv1.3')
  assert.deepEqual([iad.lines, iad.seen], [[], []])
  assert.ok(!iad.asked.includes('hello.localhost'))
})

test('HTTP/2 goes through as it is; other sites are answered where they are', async (t) => {
  const { iad } = await startNodes(t)
  const client = connectHttp2(`https://127.0.0.1:${iad.tlsPort}`, {
    servername: 'hello.localhost',
    rejectUnauthorized: false,
  })
  t.after(() => client.destroy())
  const stream = client.request({ ':path': '/', ':authority': 'hello.localhost' })
  const [headers] = await once(stream, 'response')
  assert.deepEqual([headers['x-served-by'], await textOf(stream)], ['fra', 'hello'])
  const socket = await open(iad.tlsPort, 'free.localhost')
  socket.write(get('free.localhost'))
  assert.match(await readAll(socket), /x-served-by: iad/)
})

test('a site that may be anywhere is answered where the key of its certificate is', async (t) => {
  const { iad } = await startNodes(t)
  const socket = await open(iad.tlsPort, 'shared.localhost')
  socket.write(get('shared.localhost'))
  assert.match(await readAll(socket), /x-served-by: fra/)
  assert.ok(!iad.asked.includes('shared.localhost'))
})

test('a link that is cut ends the connection; with nobody inside it never begins', async (t) => {
  const { meshes, iad } = await startNodes(t)
  const socket = await open(iad.tlsPort, 'hello.localhost')
  const closed = once(socket, 'close')
  socket.on('error', () => {})
  meshes.cut('fra', 'iad')
  await closed
  await assert.rejects(open(iad.tlsPort, 'hello.localhost'), { code: 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR' })
  await until(() => iad.lines.length === 0)
})

test('a node drains the connections that were passed to it at once', { timeout: 5000 }, async (t) => {
  const { fra, iad } = await startNodes(t)
  const socket = await open(iad.tlsPort, 'hello.localhost')
  socket.write(get('hello.localhost').replace('Connection: close\r\n', ''))
  await once(socket, 'data')
  const closed = once(socket.resume(), 'close')
  await fra.edge.drain()
  await closed
})
