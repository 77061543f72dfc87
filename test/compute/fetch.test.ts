/** Requests of programs to backends, with a program made by the vendor's JavaScript SDK. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { gzipSync } from 'node:zlib'
import type { ProgramAnswer, ProgramRequest } from '#/core/ports.ts'
import { selfSigned } from '#/edge/self-signed.fixture.ts'
import { textOf } from '#/engines/compute/compute.fixture.ts'
import { headerValue } from '#/http/header-list.ts'
import { type BackendStage, compileScript, openBackends, openOrigin, type TestOrigin } from '../support/compute.ts'

const source = `
import { CacheOverride } from 'fastly:cache-override'
import { Backend } from 'fastly:backend'
import { SecretStore } from 'fastly:secret-store'
import { allowDynamicBackends } from 'fastly:experimental'
allowDynamicBackends(true)
const routes = {
  '/plain': () => fetch('http://origin.test/plain?a=1', { backend: 'origin', headers: { 'x-sent': 'yes' } }),
  '/ttl': () => fetch('http://origin.test/ttl', { backend: 'origin', cacheOverride: new CacheOverride('override', { ttl: 60, swr: 30, surrogateKey: 'one two' }) }),
  '/pass': () => fetch('http://origin.test/ttl', { backend: 'origin', cacheOverride: new CacheOverride('pass') }),
  '/echo': (event) => fetch('http://origin.test/echo', { backend: 'origin', method: 'POST', body: event.request.body }),
  '/both': async () => {
    const all = await Promise.all(['a', 'b', 'c'].map((x) => fetch('http://origin.test/slow/' + x, { backend: 'origin' })))
    return new Response((await Promise.all(all.map((r) => r.text()))).join(' '))
  },
  '/gzip': () => fetch('http://origin.test/gzip', { backend: 'origin', fastly: { decompressGzip: true } }),
  '/refused': async () => {
    try { await fetch('http://origin.test/', { backend: 'nobody' }) } catch (error) { return new Response(String(error)) }
  },
  '/unknown': async () => {
    try { await fetch('http://origin.test/', { backend: 'unheard' }) } catch (error) { return new Response(String(error)) }
  },
  '/dynamic': async (event) => {
    const target = event.request.headers.get('x-target')
    const backend = new Backend({ name: 'made', target, hostOverride: 'over.test', connectTimeout: 500 })
    const answer = await fetch('http://whatever.test/dynamic', { backend })
    return new Response([answer.status, await answer.text(), backend.toName(), Backend.exists('made'), backend.isDynamic, backend.port].join(' '))
  },
  '/ciphers': () => {
    const made = (ciphers) => { try { return new Backend({ name: 'ciphers ' + ciphers, target: 'origin.test', useSSL: true, ciphers }).toName() } catch (error) { return 'refused' } }
    return new Response([made('ECDHE-RSA-AES128-GCM-SHA256:!RC4'), made('AES128+SHA1'), made('IDEA-CBC-MD5')].join())
  },
  '/tls': async (event) => {
    const { target, ca, certificate, key, broken } = await event.request.json()
    const backend = new Backend({ name: 'tls', target, useSSL: true, sniHostname: 'tls.test', certificateHostname: broken ? 'other.test' : 'tls.test', caCertificate: ca, clientCertificate: { certificate, key: SecretStore.fromBytes(new TextEncoder().encode(key)) } })
    try { return new Response(await (await fetch('https://tls.test/' + String(broken), { backend })).text()) } catch (error) { return new Response(String(error)) }
  },
  '/many': async () => {
    let sent = 0
    try { for (; sent < 40; sent++) await fetch('http://origin.test/m' + sent, { backend: 'origin' }) } catch (error) { return new Response(sent + ' ' + error) }
    return new Response('all')
  },
  '/stream': () => {
    const body = new ReadableStream({ async start(c) { for (const x of 'abc') { c.enqueue(new TextEncoder().encode(x)); await new Promise((r) => setTimeout(r, 5)) } c.close() } })
    return fetch('http://origin.test/echo', { backend: 'origin', method: 'POST', body })
  },
  '/client': (event) => new Response(JSON.stringify({ address: event.client.address, tls: event.client.tlsProtocol, ja3: event.client.tlsJA3MD5, server: event.server?.address })),
}
addEventListener('fetch', (event) => event.respondWith((async () => routes[new URL(event.request.url).pathname](event))()))
`

const tests: [string, (t: TestContext) => Promise<void>][] = []
let opened: BackendStage
let wasm: Uint8Array

/** One engine for all: a program of this size takes a second to compile. */
test('requests of programs', async (t) => {
  wasm = await compileScript(source)
  opened = await openBackends(t, { computeCpuMs: 5_000 })
  for (const [name, run] of tests) await t.test(name, run)
})

async function stage(t: TestContext, answer: Parameters<typeof openOrigin>[1], name = 'trusted') {
  const origin = await openOrigin(t, answer)
  const nobody = { name: 'nobody', url: 'http://127.0.0.1:1/', weight: 100 }
  const program = opened.add(name, wasm, { backends: [origin.backend, nobody] })
  await opened.cache.purge([{ scope: name, soft: false, what: { kind: 'everything' } }])
  return {
    ...opened,
    origin,
    ask: (path: string, more?: Partial<ProgramRequest>): Promise<ProgramAnswer> => opened.ask(program, path, more),
  }
}

const said = ({ asked }: TestOrigin) => asked.map(({ method, url }) => `${method} ${url}`)

tests.push([
  'a request goes to a backend by its name, and its answer comes back',
  async (t: TestContext) => {
    const { ask, origin } = await stage(t, (request, response) => {
      response.setHeader('x-host', request.headers.host ?? '')
      response.end(`${request.headers['x-sent']} ${request.headers['x-forwarded-host']}`)
    })
    const answer = await ask('/plain')
    assert.deepEqual([answer.status, await textOf(answer)], [200, 'yes undefined'])
    assert.equal(headerValue(answer.headers, 'x-host'), 'origin.test')
    assert.deepEqual(said(origin), ['GET /plain?a=1'])
  },
])

tests.push([
  'answers are cached as CacheOverride says, and purged by key',
  async (t: TestContext) => {
    let count = 0
    const { ask, cache, sleep } = await stage(t, (_request, response) => response.end(`body ${++count}`))
    const seen = async (path: string) => {
      const answer = await ask(path)
      return `${await textOf(answer)} ${headerValue(answer.headers, 'x-cache')}`
    }
    assert.equal(await seen('/ttl'), 'body 1 MISS')
    assert.equal(await seen('/ttl'), 'body 1 HIT')
    assert.equal(await seen('/pass'), 'body 2 undefined', 'past the cache')
    const wish = { soft: false, what: { kind: 'tag', tag: 'two' } } as const
    await cache.purge([{ ...wish, scope: 'another' }])
    assert.equal(await seen('/ttl'), 'body 1 HIT')
    await cache.purge([{ ...wish, scope: 'trusted' }])
    assert.equal(await seen('/ttl'), 'body 3 MISS')
    sleep(70)
    assert.equal(await seen('/ttl'), 'body 3 HIT', 'stale while it is fetched anew')
  },
])

tests.push([
  'bodies stream both ways',
  async (t: TestContext) => {
    let first: ServerResponse | undefined
    const { ask } = await stage(t, (request, response) => {
      first = response
      response.write('got ')
      request.pipe(response)
    })
    const body = new Readable({ read() {} })
    const answering = ask('/echo', { method: 'POST', body, headers: ['transfer-encoding', 'chunked'] })
    body.push('one')
    const answer = await answering
    const parts: string[] = []
    for await (const chunk of answer.body as Readable) {
      parts.push(String(chunk))
      if (parts.join('') !== 'got one') continue
      assert.equal(first!.writableEnded, false)
      body.push(' two')
      body.push(null)
    }
    assert.equal(parts.join(''), 'got one two')
  },
])

tests.push([
  'a body that the program makes as it goes',
  async (t: TestContext) => {
    const { ask } = await stage(t, (request, response) => void request.pipe(response))
    assert.equal(await textOf(await ask('/stream')), 'abc')
  },
])

tests.push([
  'backends that a program describes may name ciphers',
  async (t: TestContext) => {
    const { ask } = await stage(t, (_request, response) => response.end())
    assert.equal(
      await textOf(await ask('/ciphers')),
      'ciphers ECDHE-RSA-AES128-GCM-SHA256:!RC4,ciphers AES128+SHA1,refused',
    )
  },
])

tests.push([
  'several requests at once',
  async (t: TestContext) => {
    const waiting: (() => void)[] = []
    const { ask } = await stage(t, (request, response) => {
      waiting.push(() => response.end(request.url))
      if (waiting.length === 3) for (const go of waiting.reverse()) go()
    })
    assert.equal(await textOf(await ask('/both')), '/slow/a /slow/b /slow/c')
  },
])

tests.push([
  'gzip is decoded where the program asks for it',
  async (t: TestContext) => {
    const { ask } = await stage(t, (_request, response) => {
      response.setHeader('content-encoding', 'gzip').end(gzipSync('plain text'))
    })
    const answer = await ask('/gzip')
    assert.equal(await textOf(answer), 'plain text')
    assert.equal(headerValue(answer.headers, 'content-encoding'), undefined)
  },
])

tests.push([
  'what fails says why',
  async (t: TestContext) => {
    const { ask } = await stage(t, (_request, response) => response.end('x'))
    assert.match(await textOf(await ask('/refused')), /ConnectionRefused|refused/i)
    assert.match(await textOf(await ask('/unknown')), /unheard|backend/i)
    assert.match(await textOf(await ask('/many')), /^32 /)
  },
])

tests.push([
  'a backend that the program describes itself',
  async (t: TestContext) => {
    const { ask, origin } = await stage(t, (request, response) => response.end(request.headers.host))
    const answer = await ask('/dynamic', { headers: ['x-target', `127.0.0.1:${origin.port}`] })
    assert.equal(await textOf(answer), `200 over.test made true true ${origin.port}`)
  },
])

tests.push([
  'a program that nobody trusts does not reach private addresses by a backend of its own',
  async (t: TestContext) => {
    const { ask, origin } = await stage(t, (_request, response) => response.end('secret'), 'stranger')
    const { status } = await ask('/dynamic', { headers: ['x-target', `127.0.0.1:${origin.port}`] })
    assert.equal(status, 500)
    assert.deepEqual(said(origin), [])
    assert.equal(await textOf(await ask('/plain')), 'secret', 'the backend that its owner configured is another matter')
  },
])

tests.push([
  'what is known of the client',
  async (t: TestContext) => {
    const { ask } = await stage(t, (_request, response) => response.end())
    const client = {
      address: '2001:db8::1',
      port: 1,
      tls: { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', serverName: 'a.test' },
    }
    const facts = JSON.parse(await textOf(await ask('/client', { client })))
    assert.deepEqual(facts, { address: '2001:db8::1', tls: 'TLSv1.3', ja3: null, server: '192.0.2.2' })
  },
])

tests.push([
  'TLS with an authority, a server name and a client certificate of its own',
  async (t) => {
    const { ask } = await stage(t, (_request, response) => response.end())
    const [server, client] = [await selfSigned('tls.test'), await selfSigned('client.test')]
    const listening = createServer(
      { cert: server.chain, key: server.key, ca: [client.chain], requestCert: true, rejectUnauthorized: true },
      (request, response) => {
        const socket = request.socket as TLSSocket & { servername: string }
        response.end(`${socket.servername} ${socket.getPeerCertificate().subject.CN}`)
      },
    )
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      listening.closeAllConnections()
      listening.close()
    })
    const { port } = listening.address() as AddressInfo
    const send = (more: object) => {
      const words = {
        target: `127.0.0.1:${port}`,
        ca: server.chain,
        certificate: client.chain,
        key: client.key,
        ...more,
      }
      return ask('/tls', { method: 'POST', body: Readable.from([Buffer.from(JSON.stringify(words))]) }).then(textOf)
    }
    let connections = 0
    listening.on('secureConnection', () => connections++)
    assert.equal(await send({}), 'tls.test client.test')
    assert.equal(await send({ broken: '' }), 'tls.test client.test')
    assert.equal(connections, 1, 'two requests that describe the same backend share its connections')
    assert.match(await send({ broken: true }), /certificate/i)
  },
])
