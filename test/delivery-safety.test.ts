/** Nothing of one client's request reaches another client: poisoning, deception, private answers. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { poisonNames } from '#/http/poison-names.ts'
import { host, say, startDelivery } from './support/delivery.ts'

const fresh = { 'cache-control': 'max-age=60' }

/** An origin that takes less header than most. */
async function startSmallOrigin(t: TestContext): Promise<string> {
  const server = createServer({ maxHeaderSize: 8 * 1024 }, (_asked, answer) => answer.end('fine'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The status that a request gets whose bytes are ours. */
async function rawStatus(address: string, head: string): Promise<number> {
  const { hostname, port } = new URL(address)
  const socket = connect(Number(port), hostname)
  socket.write(`${head}\r\nConnection: close\r\n\r\n`, 'latin1')
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return Number(text.split(' ', 2)[1])
}

test('one client cannot spoil or read what others get', { timeout: 60_000 }, async (t) => {
  const site = await startDelivery(t, { defaultTtl: 60 })
  const { origin } = site

  // What the origin of a shared answer sees of each; null: nothing.
  const client = 'evil.example'
  const fields: [string, string | null][] = [
    ...[...poisonNames].map((name): [string, null] => [name, null]),
    ...[...poisonNames].map((name): [string, null] => [name.replaceAll('-', '_'), null]),
    ['x-forwarded-host', 'shop.localhost'],
    ['x-forwarded-proto', 'http'],
    ['x-forwarded-for', '127.0.0.1'],
    ['x_forwarded_for', null],
    ['x-real-ip', '127.0.0.1'],
    ['cf-connecting-ip', '127.0.0.1'],
    ['true-client-ip', null],
    ['fastly-client-ip', null],
    ['via', '1.1 rimward'],
    ['cdn-loop', 'rimward, rimward'],
    ['te', null],
    ['proxy-connection', null],
    ['keep-alive', null],
  ]
  await t.test('fields that no key has: what the origin sees, and what the next client gets', async () => {
    for (const [index, [name, expected]] of fields.entries()) {
      const path = `/echo?${index}`
      origin.on(path, (asked, answer) => void answer.writeHead(200, fresh).end(asked.rawHeaders.join('\n')))
      const first = await site.get(path, { headers: { [name]: client } })
      assert.equal(origin.seen(path)[0]!.headers[name], expected ?? undefined, name)
      assert.equal(first.text.includes(client), false, name)
      const next = await site.get(path)
      assert.deepEqual([next.headers['cf-cache-status'], next.text.includes(client)], ['HIT', false], name)
    }
    // Fields that are nobody's to strip arrive: a site that builds pages of them says so by `Vary` or `key.headers`.
    origin.on('/own', (asked, answer) => void answer.writeHead(200, fresh).end(String(asked.headers['x-own'])))
    assert.equal((await site.get('/own', { headers: { 'x-own': 'mine' } })).text, 'mine')
  })

  await t.test('a way through other proxies stays to be seen, without their names', async () => {
    origin.on('/way', say(fresh))
    const headers = {
      'x-forwarded-for': '192.0.2.1, evil.example, 2001:db8::1',
      via: '1.1 evil.example, HTTP/2 front (<b>)',
      'cdn-loop': 'cloudflare; loops=1, evil.example; x="<b>"',
    }
    await site.get('/way', { headers })
    const seen = origin.seen('/way')[0]!.headers
    assert.equal(seen['x-forwarded-for'], '192.0.2.1, 2001:db8::1, 127.0.0.1')
    assert.equal(seen.via, '1.1 unnamed, HTTP/2 unnamed, 1.1 rimward')
    assert.equal(seen['cdn-loop'], 'cloudflare; loops=1, rimward, rimward')
  })

  await t.test(
    'an origin that obeys override fields never sees them; one that refuses odd requests harms nobody',
    async () => {
      const override = ['x-http-method-override', 'x-http-method', 'x-method-override', 'x_http_method_override']
      for (const [index, name] of override.entries()) {
        const path = `/override?${index}`
        origin.on(path, (asked, answer) => {
          const method = override.map((one) => asked.headers[one]).find((one) => one !== undefined)
          answer.writeHead(method === undefined ? 200 : 404, fresh).end(method ?? 'fine')
        })
        assert.equal((await site.get(path, { headers: { [name]: 'DELETE' } })).text, 'fine', name)
        assert.equal((await site.get(path)).headers['cf-cache-status'], 'HIT')
      }
      // Larger than the origin takes (8 KiB), smaller than we do: its 431 says nothing about the next request.
      const small = await startSmallOrigin(t)
      const added = await site.node.api('/rimward/v1/sites', {
        method: 'POST',
        body: JSON.stringify({ name: 'small', origin: small, cache: { defaultTtl: 60 } }),
      })
      assert.equal(added.status, 201, await added.text())
      const odd = await site.node.get('small.localhost', '/', { headers: { 'x-pad': 'x'.repeat(10_000) } })
      assert.equal(odd.status, 431)
      assert.equal((await site.node.get('small.localhost', '/')).text, 'fine')
      assert.equal((await site.node.get('small.localhost', '/')).headers['cf-cache-status'], 'HIT')
    },
  )

  await t.test('control characters are refused here and reach no origin', async () => {
    for (const [index, character] of ['\0', '\x01', '\x07', '\x7f', '\n x', '\r x'].entries()) {
      const path = `/meta?${index}`
      origin.on(path, say(fresh))
      const status = await rawStatus(
        site.node.addresses.http,
        `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX-Odd: a${character}b`,
      )
      assert.equal(status, 400, JSON.stringify(character))
      assert.equal(origin.seen(path).length, 0)
      assert.equal((await site.get(path)).status, 200)
    }
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

  await t.test('parameters that are left out of the key carry nothing in', async () => {
    const cloaks: [object, string, string[]][] = [
      [
        { query: { kind: 'without', names: ['utm_*'] } },
        '/cloak?id=1',
        ['utm_x=1;id=evil', 'utm_x=1%3B&utm_y=;q=evil'],
      ],
      [
        { query: { kind: 'only', names: ['id', 'user_id'] } },
        '/cloak-only?id=1',
        ['z=1;id=evil', '%69d=evil', 'id[]=evil', '+id=evil', 'id%00x=evil', 'user.id=evil', 'id=evil'],
      ],
    ]
    for (const [index, [key, clean, dirty]] of cloaks.entries()) {
      const added = await site.node.api('/rimward/v1/sites', {
        method: 'POST',
        body: JSON.stringify({ name: `cloak-${index}`, origin: origin.url, cache: { key } }),
      })
      assert.equal(added.status, 201, await added.text())
      const ask = (path: string) => site.node.get(`cloak-${index}.localhost`, path)
      for (const more of dirty) {
        const path = `${clean}&${more}`
        origin.on(path, say(fresh, 'evil'))
        assert.equal((await ask(path)).text, 'evil')
      }
      origin.on(clean, say(fresh, 'fine'))
      assert.equal((await ask(clean)).text, 'fine')
      // What is left out does meet the same answer.
      const left = index === 0 ? '&utm_source=mail' : '&z=1'
      assert.deepEqual([(await ask(`${clean}${left}`)).text, origin.seen(`${clean}${left}`).length], ['fine', 0])
    }
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
