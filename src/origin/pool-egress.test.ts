/** Fail-over between real origins: which requests are sent again, how often, and when not. */
import assert from 'node:assert/strict'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { Origin, OriginPool } from '#/core/origin.ts'
import type { EgressRequest } from '#/core/ports.ts'
import { createHealthChecks } from './health-checks.ts'
import { listenOn, openEgress, request, textOf } from './origin.fixture.ts'
import { createPoolEgress } from './pool-egress.ts'

type Mood = 'well' | 'refusing' | 'hung' | 'hanging-up' | 'truncating' | 'nonsense'

/** An origin in a mood; `seen` counts the requests that reached it. */
async function origin(t: TestContext, name: string, mood: Mood, more: Partial<Origin> = {}) {
  const seen: string[] = []
  const sockets = new Set<Socket>()
  const server =
    mood === 'well'
      ? createHttpServer((incoming, outgoing) => {
          seen.push(`${incoming.method} ${incoming.url} ${incoming.headers.host}`)
          incoming.pipe(outgoing.setHeader('x-origin', name))
        })
      : createTcpServer((socket) => {
          sockets.add(socket)
          socket.on('error', () => {})
          socket.once('data', (head) => {
            seen.push(String(head).split('\r\n')[0]!)
            if (mood === 'hanging-up') socket.destroy()
            if (mood === 'truncating') socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc')
            if (mood === 'nonsense') socket.end('SSH-2.0-OpenSSH_9.9\r\n')
          })
        })
  const port = await listenOn(server)
  if (mood === 'refusing') await new Promise((resolve) => server.close(resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { seen, at: { name, url: `http://127.0.0.1:${port}/${name}`, weight: 100, ...more } satisfies Origin }
}

function open(t: TestContext, limits: Partial<Limits> = {}) {
  const one = openEgress({ limits })
  const all = { ...defaultLimits, ...limits }
  const health = createHealthChecks({ egress: one, limits: all, clock: Date.now, random: Math.random })
  const egress = createPoolEgress({ egress: one, health, limits: all, random: Math.random })
  t.after(() => {
    health.close()
    return egress.close()
  })
  const ask = (origins: readonly Origin[], path = '/x?y', more: Partial<EgressRequest> = {}) => {
    const pool: OriginPool = { origins, choice: 'fallback' }
    const site = { name: 'shop', hostnames: [], routes: [], target: { kind: 'origin', url: origins[0]!.url, pool } }
    health.adopt([{ ...site, target: { ...site.target, kind: 'origin' } }])
    return egress.fetch(request(origins[0]!.url + path, { by: { site: 'shop' }, pool, ...more }))
  }
  return { ask, health }
}

const quick = { firstByteTimeoutMs: 200, betweenBytesTimeoutMs: 200 }

test('another origin answers when the first is not well, and the path is its own', async (t) => {
  const { ask, health } = open(t)
  for (const mood of ['refusing', 'hung', 'hanging-up', 'nonsense'] as const) {
    const bad = await origin(t, mood, mood, quick)
    const good = await origin(t, 'good', 'well', { overrideHost: 'shop.example' })
    const answer = await ask([bad.at, good.at])
    assert.equal(answer.headers[answer.headers.indexOf('x-origin') + 1], 'good', mood)
    await textOf(answer.body)
    assert.deepEqual(good.seen, ['GET /good/x?y shop.example'])
    assert.equal(bad.seen.length, mood === 'refusing' ? 0 : 1, mood)
    const states = health.states('shop').map(({ requests, failures, retries }) => [requests, failures, retries])
    assert.deepEqual(states, [
      [1, 1, 0],
      [1, 0, 1],
    ])
  }
})

test('never after the first byte, and no request twice that may do something twice', async (t) => {
  const { ask } = open(t)
  const cut = await origin(t, 'cut', 'truncating', quick)
  const gone = await origin(t, 'gone', 'hanging-up', quick)
  const refusing = await origin(t, 'refusing', 'refusing')
  const good = await origin(t, 'good', 'well')
  const answer = await ask([cut.at, good.at])
  await assert.rejects(textOf(answer.body), { code: 'origin_failed' })
  await assert.rejects(ask([gone.at, good.at], '/', { method: 'POST', body: Buffer.from('a') }), {
    code: 'origin_failed',
  })
  await assert.rejects(ask([gone.at, good.at], '/', { method: 'PUT', body: Readable.from(['a']) }), {
    code: 'origin_failed',
  })
  assert.deepEqual([good.seen.length, gone.seen.length], [0, 2])
  // Nothing was sent, so even a streamed POST goes on.
  const body = Readable.from([Buffer.from('a streamed '), Buffer.from('body')])
  const posted = await ask([refusing.at, good.at], '/', { method: 'POST', body })
  assert.equal(await textOf(posted.body), 'a streamed body')
})

test('an origin with as many requests as it may have leaves the next one to another', async (t) => {
  const { ask } = open(t, { originRequests: 1 })
  const hung = await origin(t, 'hung', 'hung')
  const good = await origin(t, 'good', 'well')
  const leaving = new AbortController()
  const first = ask([hung.at, good.at], '/', { signal: leaving.signal })
  // On its way to the origin it counts; this one finds no place there.
  while (hung.seen.length === 0) await new Promise(setImmediate)
  const answer = await ask([hung.at, good.at])
  assert.equal(answer.headers[answer.headers.indexOf('x-origin') + 1], 'good')
  await textOf(answer.body)
  leaving.abort()
  await assert.rejects(first, { code: 'client_gone' })
})

test('all down: the last error, after as many as the limit allows', async (t) => {
  const { ask } = open(t, { originRetries: 1 })
  const origins = await Promise.all(['a', 'b', 'c'].map((name) => origin(t, name, 'hanging-up')))
  await assert.rejects(ask(origins.map(({ at }) => at)), { code: 'origin_failed' })
  assert.deepEqual(
    origins.map(({ seen }) => seen.length),
    [1, 1, 0],
  )
  const refusing = await origin(t, 'r', 'refusing')
  await assert.rejects(ask([refusing.at]), { code: 'origin_refused' })
})

test('a real check takes an origin out and brings it back', async (t) => {
  let status = 500
  const server = createHttpServer((incoming, outgoing) => {
    outgoing.statusCode = incoming.url === '/up' ? status : 200
    outgoing.end('flapping')
  })
  const url = `http://127.0.0.1:${await listenOn(server)}`
  t.after(() => server.close())
  const limits = defaultLimits
  const egress = openEgress({})
  const due: (() => void)[] = []
  const schedule = (ms: number, work: () => void) => {
    if (ms !== 5_000) due.push(work)
    return () => {}
  }
  const health = createHealthChecks({ egress, limits, clock: Date.now, random: () => 0, schedule })
  const pooled = createPoolEgress({ egress, health, limits, random: Math.random })
  t.after(() => pooled.close())
  const healthCheck = {
    ...({ method: 'GET', path: '/up', expectedStatus: 200, headers: {} } as const),
    ...{ timeoutMs: 5_000, intervalMs: 10_000, threshold: 1, window: 1, initial: 1 },
  }
  const pool: OriginPool = { origins: [{ name: 'a', url, weight: 1 }], choice: 'weighted-random', healthCheck }
  health.adopt([{ name: 'shop', hostnames: [], routes: [], target: { kind: 'origin', url, pool } }])
  const checked = async () => {
    const before = due.length
    due.at(-1)!()
    while (due.length === before) await new Promise(setImmediate)
  }
  const ask = () => pooled.fetch(request(`${url}/`, { by: { site: 'shop' }, pool }))
  await (await ask()).body
  await checked()
  await assert.rejects(ask(), { code: 'origin_unhealthy', message: 'No origin of shop is healthy.' })
  status = 200
  await checked()
  assert.equal(await textOf((await ask()).body), 'flapping')
})

test('a kept connection that the origin closed is no failure', async (t) => {
  let requests = 0
  // The connection is free for the next request a turn after the answer's end.
  const idle = () => new Promise(setImmediate)
  const server = createTcpServer((socket) => {
    socket.on('error', () => {})
    let answered = false
    socket.on('data', () => {
      requests++
      // The second request on a connection meets its end.
      if (answered) socket.destroy()
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
      answered = true
    })
  })
  const url = `http://127.0.0.1:${await listenOn(server)}`
  t.after(() => server.close())
  const { ask } = open(t)
  const only: Origin = { name: 'a', url, weight: 1 }
  assert.equal(await textOf((await ask([only], '/1')).body), 'ok')
  await idle()
  assert.equal(await textOf((await ask([only], '/2')).body), 'ok')
  assert.equal(requests, 3)
  await idle()
  await assert.rejects(ask([only], '/3', { method: 'POST' }), { code: 'origin_failed' })
  assert.equal(requests, 4)
})

test('a program that fetches a host of ours reaches the origins behind it, under the name that it used', async (t) => {
  const bad = await origin(t, 'bad', 'refusing')
  const good = await origin(t, 'good', 'well')
  const pool: OriginPool = { origins: [bad.at, good.at], choice: 'fallback' }
  const one = openEgress()
  const health = createHealthChecks({ egress: one, limits: defaultLimits, clock: Date.now, random: Math.random })
  const ownPool = (host: string) => (host === 'shop.test' ? { site: 'shop', pool } : undefined)
  const egress = createPoolEgress({ egress: one, health, limits: defaultLimits, random: Math.random, ownPool })
  t.after(() => egress.close())
  const answer = await egress.fetch(request('http://shop.test/a?b', { by: { program: 'other' } }))
  await textOf(answer.body)
  assert.deepEqual(good.seen, ['GET /good/a?b shop.test'])
  await assert.rejects(egress.fetch(request('http://elsewhere.test/')), { code: 'origin_unresolved' })
})

test('interim answers pass, 304 only when asked for', async (t) => {
  const server = createHttpServer((incoming, outgoing) => {
    if (incoming.url === '/304') {
      outgoing.statusCode = 304
      return outgoing.end()
    }
    return outgoing.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => outgoing.end('done'))
  })
  const url = `http://127.0.0.1:${await listenOn(server)}`
  t.after(() => server.close())
  const { ask } = open(t)
  const only: Origin = { name: 'a', url, weight: 1 }
  const interim: [number, string[]][] = []
  const answer = await ask([only], '/', { onInformational: (status, headers) => interim.push([status, headers]) })
  assert.equal(await textOf(answer.body), 'done')
  assert.deepEqual(interim, [[103, ['Link', '</a.css>; rel=preload']]])
  await assert.rejects(ask([only], '/304'), { code: 'origin_failed', message: /304/ })
  assert.equal((await ask([only], '/304', { by: { program: 'shop' } })).status, 304, 'a program reads it for itself')
  assert.equal((await ask([only], '/304', { headers: ['If-None-Match', '"a"'] })).status, 304)
})
