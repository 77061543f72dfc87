/** Sites in front of origins in many moods, seen from outside a real node. */
import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import {
  createServer as createHttpServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { createSecureServer } from 'node:http2'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { type RunningNode, rimward, startNode, temporaryFolder, until } from './support/node.ts'

let node: RunningNode

before(async () => {
  node = await startNode(undefined)
})
after(() => node.stop('SIGKILL'))

async function listen(t: TestContext, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function serve(t: TestContext, listener: (incoming: IncomingMessage, outgoing: ServerResponse) => void) {
  return `http://${await listen(t, createHttpServer(listener))}`
}

/** The address of a server that is gone. */
async function nobody(): Promise<string> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

async function addSite(name: string, settings: object): Promise<void> {
  const answer = await node.api('/rimward/v1/sites', { method: 'POST', body: JSON.stringify({ name, ...settings }) })
  assert.equal(answer.status, 201, await answer.text())
}

function ask(name: string, path: string, options: { method?: string; headers?: Record<string, string> } = {}) {
  const { hostname, port } = new URL(node.addresses.http)
  const headers = { host: `${name}.localhost`, ...options.headers }
  return httpRequest({ host: hostname, port, path, agent: false, method: options.method ?? 'GET', headers })
}

test('a site is added, changed and looked at from the command line', async (t) => {
  const down = await nobody()
  const up = await serve(t, (_incoming, outgoing) => outgoing.end('from the second'))
  const folder = await temporaryFolder(t, 'site')
  const added = await rimward(node, folder, `site add two --origin ${down} --origin ${up} --choice fallback`.split(' '))
  assert.equal(added.output, 'Site "two" answers at two.localhost.\n')
  const again = await rimward(node, folder, `site add two --origin ${up}`.split(' '))
  assert.equal(again.output, 'rimward: There is a site "two" already.\n')
  const answer = await node.get('two.localhost', '/')
  assert.deepEqual([answer.status, answer.text], [200, 'from the second'])
  const states = await rimward(node, folder, ['site', 'origins', 'two'])
  assert.match(states.output, /^ORIGIN.*\n127\S+ +healthy +not checked +1 +1\n127\S+ +healthy +not checked +1 +0\n$/)
  const metrics = await (await node.api('/metrics')).text()
  assert.match(metrics, /rimward_origin_retries_total\{site="two",origin="127\.0\.0\.1:\d+"\} 1/)

  await writeFile(join(folder, 'site.json'), JSON.stringify({ origins: [{ url: up, weight: 5 }], choice: 'hash' }))
  const set = 'site set two --file site.json --default-ttl 60 --host www.two.test --json'
  const changed = JSON.parse((await rimward(node, folder, set.split(' '))).output)
  assert.deepEqual(changed.cache, { defaultTtl: 60 })
  assert.deepEqual(changed.hostnames, ['two.localhost', 'www.two.test'])
  assert.deepEqual([changed.target.choice, changed.target.origins[0].weight], ['hash', 5])
  const refused = await rimward(node, folder, ['site', 'set', 'two', '--choice', 'best'])
  assert.match(refused.output, /^rimward: choice: /)
})

test('a health check takes an origin out, the site says so in its own words, and it comes back', async (t) => {
  let well = true
  const url = await serve(t, (incoming, outgoing) => {
    outgoing.statusCode = incoming.url === '/base/up' || well ? 200 : 500
    if (incoming.url === '/up' && !well) outgoing.statusCode = 500
    if (incoming.url === '/kept')
      outgoing.setHeader('cache-control', 'max-age=1, stale-if-error=600').setHeader('age', '2')
    outgoing.end('well')
  })
  const healthCheck = { path: '/up', intervalMs: 1_000, window: 1, threshold: 1, initial: 1 }
  const errorPages = { '5xx': { body: '<h1>Back soon</h1>' } }
  await addSite('flaps', { origin: url, healthCheck, errorPages })
  assert.equal((await node.get('flaps.localhost', '/')).text, 'well')
  assert.equal((await node.get('flaps.localhost', '/kept')).text, 'well')
  const state = async () => {
    const { origins } = (await (await node.api('/rimward/v1/sites/flaps/origins')).json()) as {
      origins: { healthy: boolean; check: { last?: { why: string } } }[]
    }
    return origins[0]!
  }
  well = false
  await until(async () => !(await state()).healthy, 'the origin is down')
  assert.equal((await state()).check.last!.why, 'status 500, not 200')
  const answer = await node.get('flaps.localhost', '/')
  assert.deepEqual([answer.status, answer.text], [503, '<h1>Back soon</h1>'])
  assert.equal(answer.headers['content-type'], 'text/html; charset=utf-8')
  assert.match(String(answer.headers['cf-ray']), /^[0-9a-f]{16}-/)
  const stale = await node.get('flaps.localhost', '/kept')
  assert.deepEqual([stale.status, stale.text], [200, 'well'], 'what the cache may still serve comes first')
  well = true
  await until(async () => (await state()).healthy, 'the origin is well')
  assert.equal((await node.get('flaps.localhost', '/')).text, 'well')
})

test('events arrive one by one, and early hints before the answer', async (t) => {
  let next = (): void => {}
  const url = await serve(t, (incoming, outgoing) => {
    if (incoming.url === '/hints')
      return outgoing.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => outgoing.end('page'))
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' })
    outgoing.write('data: 1\n\n')
    next = () => outgoing.write('data: 2\n\n')
    return outgoing
  })
  await addSite('events', { origin: url })
  const [response] = (await once(ask('events', '/').end(), 'response')) as [IncomingMessage]
  assert.equal(String((await once(response, 'data'))[0]), 'data: 1\n\n')
  next()
  assert.equal(String((await once(response, 'data'))[0]), 'data: 2\n\n')
  response.destroy()
  const hinted = ask('events', '/hints').end()
  // Both are listened for at once: they may arrive in one packet.
  const [[information], [page]] = (await Promise.all([once(hinted, 'information'), once(hinted, 'response')])) as [
    [IncomingMessage],
    [IncomingMessage],
  ]
  assert.deepEqual([information.statusCode, information.headers.link], [103, '</a.css>; rel=preload'])
  assert.equal(page.statusCode, 200)
  page.resume()
})

test('an upload streams through, after 100-continue; the origin sees who asks', async (t) => {
  let seen: IncomingMessage | undefined
  const url = await serve(t, (incoming, outgoing) => {
    seen = incoming
    incoming.pipe(outgoing)
  })
  await addSite('upload', { origins: [{ url, overrideHost: 'inner.test' }] })
  const headers = { expect: '100-continue', 'transfer-encoding': 'chunked', 'x-forwarded-for': '192.0.2.1' }
  const request = ask('upload', '/a?b', { method: 'PUT', headers })
  request.flushHeaders()
  await once(request, 'continue')
  request.write('first ')
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  assert.equal(String((await once(response, 'data'))[0]), 'first ')
  request.end('second')
  assert.equal(String((await once(response, 'data'))[0]), 'second')
  const got = seen!.headers
  assert.deepEqual([seen!.method, seen!.url, got.host, got.via], ['PUT', '/a?b', 'inner.test', '1.1 rimward'])
  assert.equal(got['x-forwarded-for'], '192.0.2.1, 127.0.0.1')
  assert.deepEqual([got['x-forwarded-proto'], got['x-forwarded-host']], ['http', 'upload.localhost'])
  assert.match(String(got['cdn-loop']), /rimward/)
})

test('origins that are slow, break off, or are not there', async (t) => {
  const raw = (answer: string) =>
    listen(
      t,
      createTcpServer((socket) => socket.once('data', () => (answer === '' ? undefined : socket.end(answer)))),
    )
  const cases: [string, object, number][] = [
    ['refused', { origin: await nobody() }, 502],
    ['hung', { origins: [{ url: `http://${await raw('')}`, firstByteTimeoutMs: 300 }] }, 504],
    ['nonsense', { origin: `http://${await raw('220 mail.example ESMTP\r\n')}` }, 502],
    ['unasked', { origin: `http://${await raw('HTTP/1.1 304 Not Modified\r\n\r\n')}` }, 502],
    ['unresolved', { origin: 'http://nobody.invalid' }, 530],
  ]
  for (const [name, settings, status] of cases) {
    await addSite(name, settings)
    assert.equal((await node.get(`${name}.localhost`, '/')).status, status, name)
  }
  const half = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'
  const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n'
  for (const [name, answer] of [
    ['half', half],
    ['chunk', chunked],
  ] as const) {
    await addSite(name, { origin: `http://${await raw(answer)}` })
    await assert.rejects(node.get(`${name}.localhost`, '/'), { code: 'ECONNRESET' }, name)
  }
})

test('statuses that HTTP does not have are the origin’s failure', async (t) => {
  for (const status of ['000', '099', '600', '999']) {
    const origin = await listen(
      t,
      createTcpServer((socket) => {
        socket.once('data', () => socket.end(`HTTP/1.1 ${status} Odd\r\ncontent-length: 3\r\n\r\nodd`))
      }),
    )
    await addSite(`odd-${status}`, { origin: `http://${origin}` })
    const answer = await node.get(`odd-${status}.localhost`, '/', { headers: { accept: 'application/json' } })
    assert.equal(answer.status, 502, status)
    assert.equal(JSON.parse(answer.text).error, 'origin_failed')
  }
})

test('HTTP/2 and a private authority, by settings of the origin', async (t) => {
  x509.cryptoProvider.set(webcrypto as Crypto)
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const names = new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'inner.test' }])
  const extensions = [new x509.BasicConstraintsExtension(true, undefined, true), names]
  const made = { name: 'CN=inner', keys, signingAlgorithm: algorithm, extensions }
  const cert = (await x509.X509CertificateGenerator.createSelfSigned(made)).toString('pem')
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  const server = createSecureServer({ key, cert }, (incoming, outgoing) => {
    outgoing.end(`${incoming.httpVersion} ${incoming.headers[':authority']}`)
  })
  const url = `https://${await listen(t, server)}`
  await addSite('inner', {
    origins: [{ url, caCertificate: cert, sniHostname: 'inner.test', overrideHost: 'inner.test' }],
  })
  assert.equal((await node.get('inner.localhost', '/')).text, '2.0 inner.test')
  await addSite('untrusted', { origins: [{ url, sniHostname: 'inner.test' }] })
  const refused = await node.get('untrusted.localhost', '/')
  assert.equal(refused.status, 502)
  assert.match(refused.text, /certificate of 127\.0\.0\.1 is not trusted/)
})
