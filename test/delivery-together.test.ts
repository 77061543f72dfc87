/** Many clients, one origin request: what they share, what they must not, and what happens when one leaves. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import { gate, host, say, startDelivery } from './support/delivery.ts'
import { until } from './support/node.ts'

test('clients who ask for the same at the same time', { timeout: 60_000 }, async (t) => {
  const site = await startDelivery(t)
  const { origin } = site

  await t.test('fifty clients on a cold page cost one request to the origin', async () => {
    const ready = gate()
    origin.on('/cold', async (_asked, answer) => {
      await ready.opened
      answer.writeHead(200, { 'cache-control': 'max-age=60' }).end('cold')
    })
    const clients = Array.from({ length: 50 }, () => site.get('/cold'))
    await until(() => origin.seen('/cold').length > 0, 'the first request is at the origin')
    ready.open()
    const answers = await Promise.all(clients)
    assert.deepEqual([...new Set(answers.map(({ status, text }) => `${status} ${text}`))], ['200 cold'])
    assert.equal(origin.seen('/cold').length, 1)
    // Whoever came late found it stored.
    const said = answers.map(({ headers }) => String(headers['cache-status']))
    assert.equal(said.filter((status) => /; collapsed$|^rimward; hit/.test(status)).length, 49)
    const hit = await site.get('/cold')
    assert.match(String(hit.headers['cache-status']), /^rimward; hit; ttl=\d+$/)
    assert.equal(origin.seen('/cold').length, 1)
  })

  await t.test('a private page is queued for once, then never again, and never shared', async () => {
    const arrived = gate()
    origin.on('/private', async (_asked, answer, count) => {
      // The first is answered alone; then nobody is, before all of that wave are here.
      if (count === 20) arrived.open()
      if (count > 1 && count <= 20) await arrived.opened
      if (count === 40) second.open()
      if (count > 20) await second.opened
      answer.writeHead(200, { 'cache-control': 'private' }).end(`for ${count}`)
    })
    const second = gate()
    for (const _ of ['learning', 'learnt']) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => site.get('/private')))
      assert.equal(new Set(answers.map(({ text }) => text)).size, 20)
    }
    assert.equal(origin.seen('/private').length, 40)
  })

  await t.test('a joiner of a streaming miss has the first bytes before the origin sent the last', async () => {
    const rest = gate()
    origin.on('/stream', async (_asked, answer) => {
      answer.writeHead(200, { 'cache-control': 'max-age=60' })
      answer.write('first ')
      await rest.opened
      answer.end('last')
    })
    const one = await site.open('/stream')
    await one.firstByteMs
    const two = await site.open('/stream')
    const waited = await two.firstByteMs
    rest.open()
    assert.deepEqual([await one.text, await two.text], ['first last', 'first last'])
    assert.equal(origin.seen('/stream').length, 1)
    t.diagnostic(`joiner's first byte after ${waited.toFixed(1)} ms, connection included`)
  })

  await t.test('a client who leaves does not end the fetch, neither for others nor for the store', async () => {
    const rest = gate()
    origin.on('/left', async (_asked, answer) => {
      answer.writeHead(200, { 'cache-control': 'max-age=60' })
      answer.write('first ')
      await rest.opened
      answer.end('last')
    })
    const one = await site.open('/left')
    const two = await site.open('/left')
    await Promise.all([one.firstByteMs, two.firstByteMs])
    one.leave()
    two.leave()
    const three = await site.open('/left')
    rest.open()
    assert.equal(await three.text, 'first last')
    assert.equal((await site.get('/left')).text, 'first last')
    assert.equal(origin.seen('/left').length, 1)
  })

  await t.test('what only one client waited for is still there for the next', async () => {
    const ready = gate()
    origin.on('/alone', async (_asked, answer) => {
      await ready.opened
      answer.writeHead(200, { 'cache-control': 'max-age=60' }).end('alone')
    })
    const url = new URL(site.node.addresses.http)
    const leaving = request({ host: url.hostname, port: url.port, path: '/alone', headers: { host } })
    leaving.on('error', () => {})
    leaving.end()
    await until(() => origin.seen('/alone').length > 0, 'the request is at the origin')
    leaving.destroy()
    ready.open()
    assert.equal((await site.get('/alone')).text, 'alone')
    assert.equal(origin.seen('/alone').length, 1)
  })

  for (const [what, headers] of [
    ['shorter than its Content-Length', { 'content-length': '100' }],
    ['broken off in chunks', {}],
  ] as const)
    await t.test(`a body ${what} is a broken transfer and is not stored`, async () => {
      const path = `/broken?${what.length}`
      origin.on(path, (_asked, answer) => {
        answer.writeHead(200, { 'cache-control': 'max-age=60', ...headers })
        answer.write('half', () => answer.destroy())
      })
      for (const count of [1, 2]) {
        const broken = await site.open(path).catch((error: Error) => error)
        if (!(broken instanceof Error)) await assert.rejects(broken.text)
        assert.equal(origin.seen(path).length, count)
      }
      origin.on(path, say({ 'cache-control': 'max-age=60' }, 'whole'))
      assert.equal((await site.get(path)).text, 'whole')
    })

  await t.test('an event stream passes event by event', async () => {
    const rest = gate()
    origin.on('/events', async (_asked, answer) => {
      answer.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      answer.write('data: 1\n\n')
      await rest.opened
      answer.end('data: 2\n\n')
    })
    const events = await site.open('/events')
    await events.firstByteMs
    rest.open()
    assert.equal(await events.text, 'data: 1\n\ndata: 2\n\n')
  })
})
