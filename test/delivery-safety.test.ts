/** Nothing of one client's request reaches another client: poisoning, deception, private answers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { poisonNames } from '#/cache/cache-key.ts'
import { say, startDelivery } from './support/delivery.ts'

const fresh = { 'cache-control': 'max-age=60' }

test('one client cannot spoil or read what others get', { timeout: 60_000 }, async (t) => {
  const site = await startDelivery(t, { defaultTtl: 60 })
  const { origin } = site

  await t.test('fields that no key has do not reach the origin of a shared answer', async () => {
    origin.on('/echo', (asked, answer) => void answer.writeHead(200, fresh).end(asked.rawHeaders.join('\n')))
    const evil = [...poisonNames, 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-for', 'x-real-ip', 'host2']
    const headers = Object.fromEntries(evil.map((name) => [name, 'evil.example']))
    const got = await site.get('/echo', { headers: { ...headers, host2: 'fine' } })
    // Where a client comes from is its own word, behind which the edge puts what it saw.
    assert.match(got.text, /x-forwarded-for\nevil\.example, 127\.0\.0\.1/)
    assert.equal(got.text.replace('evil.example, 127.0.0.1', '').includes('evil.example'), false)
    assert.equal(origin.seen('/echo')[0]!.headers['x-forwarded-host'], 'shop.localhost')
  })

  for (const status of [400, 405, 413, 414, 431, 500, 501, 503])
    await t.test(`a ${status} that one odd request caused is not stored`, async () => {
      const path = `/odd-${status}`
      origin.on(path, (asked, answer) => {
        if (asked.headers['x-odd'] === undefined) answer.writeHead(200).end('fine')
        else answer.writeHead(status).end('odd')
      })
      assert.equal((await site.get(path, { headers: { 'x-odd': '1' } })).status, status)
      assert.equal((await site.get(path)).status, 200)
      assert.equal((await site.get(path)).headers['cf-cache-status'], 'HIT')
    })

  await t.test('a GET with a body goes to the origin with it, and leaves nothing behind', async () => {
    origin.on('/fat', (asked, answer) => {
      let body = ''
      asked.on('data', (chunk) => {
        body += String(chunk)
      })
      asked.on('end', () => answer.writeHead(200, fresh).end(`body: ${body}`))
    })
    const fat = await site.get('/fat', { body: 'evil', headers: { 'content-length': '4' } })
    assert.deepEqual([fat.text, fat.headers['cf-cache-status']], ['body: evil', 'BYPASS'])
    assert.equal((await site.get('/fat')).text, 'body: ')
    assert.equal((await site.get('/fat')).headers['cf-cache-status'], 'HIT')
    assert.equal((await site.get('/fat', { body: 'evil', headers: { 'content-length': '4' } })).text, 'body: evil')
  })

  await t.test('paths that look like files do not make private answers public', async () => {
    const paths = ['/account/x.css', '/account;a.png', '/account%2fa.css', '/account%00.css', '/account/..%2fstatic.js']
    for (const path of paths) {
      origin.on(path, (asked, answer) => {
        answer.writeHead(200, { 'cache-control': 'private', 'content-type': 'text/html' }).end(asked.headers.cookie)
      })
      assert.equal((await site.get(path, { headers: { cookie: 'user=victim' } })).text, 'user=victim', path)
      assert.equal((await site.get(path, { headers: { cookie: 'user=thief' } })).text, 'user=thief', path)
    }
  })

  await t.test('paths are keys as they were sent', async () => {
    const paths = ['/a/b', '/a%2fb', '/a//b', '/a/b?', '/a/b?x=1&y=2', '/a/b?y=2&x=1', '/a/b;x=1', '/a/b?x=1;y=2']
    for (const path of paths) origin.on(path, say(fresh, path))
    for (const path of paths) assert.equal((await site.get(path)).text, path)
    for (const path of paths) assert.equal(origin.seen(path).length, 1, path)
  })

  await t.test('answers to Authorization are shared only where the origin says so', async () => {
    for (const [more, shared] of [
      ['', false],
      [', public', true],
      [', s-maxage=60', true],
      [', must-revalidate', true],
    ] as const) {
      const path = `/auth?${more.slice(2)}`
      origin.on(path, (asked, answer) => {
        answer.writeHead(200, { 'cache-control': `max-age=60${more}` }).end(asked.headers.authorization)
      })
      await site.get(path, { headers: { authorization: 'Bearer one' } })
      const two = await site.get(path, { headers: { authorization: 'Bearer two' } })
      assert.equal(two.text, shared ? 'Bearer one' : 'Bearer two', more)
    }
  })

  await t.test('answers that set a cookie are not stored', async () => {
    origin.on('/cookie', (_asked, answer, count) => {
      answer.writeHead(200, { ...fresh, 'set-cookie': `id=${count}` }).end(`for ${count}`)
    })
    assert.deepEqual([(await site.get('/cookie')).text, (await site.get('/cookie')).text], ['for 1', 'for 2'])
  })
})
