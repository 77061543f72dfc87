/** Rules of delivery on a real edge, in front of an egress that notes what it is asked. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { PurgeWish } from '#/core/cache-policy.ts'
import type { DeliveryRules, HeaderRule, Lookups } from '#/core/delivery-rules.ts'
import type { Answer } from '#/core/exchange.ts'
import type { OriginPool } from '#/core/origin.ts'
import type { EgressRequest } from '#/core/ports.ts'
import type { Site } from '#/core/snapshot.ts'
import { headerValue } from '#/http/header-list.ts'
import { aSnapshot, rawExchange, startEdge } from './edge.fixture.ts'

const aPool = (...names: string[]): OriginPool => ({
  origins: names.map((name) => ({ name, url: `http://${name}.example.test:80`, weight: 100 })),
  choice: 'weighted-random',
})

const header = (change: Partial<HeaderRule> & Pick<HeaderRule, 'phase'>): HeaderRule => ({
  name: 'h',
  action: 'set',
  target: { kind: 'field', field: 'x-rule' },
  onlyIfAbsent: false,
  ...change,
})

interface Setup {
  readonly rules?: Partial<DeliveryRules>
  readonly lookups?: Lookups
  readonly site?: Partial<Site>
  readonly answer?: (request: EgressRequest) => Answer
}

async function start(t: TestContext, { rules, lookups, site, answer }: Setup) {
  const asked: EgressRequest[] = []
  const purged: PurgeWish[] = []
  const none = { requests: [], headers: [], answers: [], caching: [], compression: [] }
  const snapshot = aSnapshot([
    {
      name: 'shop',
      hostnames: ['shop.example.test'],
      routes: [],
      target: { kind: 'origin', url: 'http://o.example.test:80' },
      rules: { pools: [{ name: 'usual', pool: aPool('o') }], ...none, ...rules },
      ...(lookups && { lookups }),
      ...site,
    },
  ])
  const { port } = await startEdge(t, {
    options: {
      snapshot: () => snapshot,
      egress: {
        async fetch(request) {
          asked.push(request)
          const given = answer?.(request) ?? { status: 200, headers: [], body: Buffer.from('origin') }
          return request.onOriginAnswer?.(given) ?? given
        },
      },
      purge: {
        mayPurge: (token) => token === 'secret',
        purge: async (wishes) => {
          purged.push(...wishes)
          return { id: 'local-1-1', at: 1, acknowledged: [], away: [] }
        },
      },
    },
  })
  return {
    asked,
    purged,
    async call(path: string, fields: readonly string[] = [], method = 'GET') {
      const lines = [`${method} ${path} HTTP/1.1`, 'Host: shop.example.test:8080', 'Connection: close', ...fields]
      const text = await rawExchange(port, `${lines.join('\r\n')}\r\n\r\n`)
      const [head, ...rest] = text.split('\r\n\r\n')
      const list = head!
        .split('\r\n')
        .slice(1)
        .flatMap((line) => line.split(/: ?(.*)/s, 2))
      const field = (name: string) => headerValue(list, name)
      return {
        status: Number(head!.split(' ')[1]),
        reason: head!.split('\r\n')[0]!.slice(13),
        field,
        text: rest.join('\r\n\r\n'),
      }
    },
  }
}

test('header rules of the request change what the origin is asked, and the key', async (t) => {
  const { call, asked } = await start(t, {
    rules: {
      headers: [
        header({ phase: 'request', value: '"a" req.http.X-In "b"' }),
        header({ phase: 'request', action: 'append', target: { kind: 'field', field: 'x-in' }, value: '"more"' }),
        header({ phase: 'request', action: 'delete', target: { kind: 'field', field: 'cookie' } }),
        header({
          phase: 'request',
          action: 'replace',
          target: { kind: 'url' },
          value: 'req.url',
          pattern: '^/old/(.*)',
          replacement: '/new/\\1',
        }),
        header({ phase: 'request', onlyIfAbsent: true, value: '"never"' }),
        header({
          phase: 'request',
          target: { kind: 'field', field: 'x-not' },
          value: '"x"',
          when: 'req.url ~ "^/other"',
        }),
        header({
          phase: 'fetch',
          action: 'replace-all',
          target: { kind: 'field', field: 'x-in' },
          pattern: 'o',
          replacement: '0',
        }),
        header({ phase: 'request', target: { kind: 'field', field: 'x-odd' }, value: '"a%0d%0aInjected: b \u00e9"' }),
      ],
    },
  })
  await call('/old/a?b', ['X-In: one', 'Cookie: c=1'])
  const [{ url, publicUrl, headers, pool, client }] = asked as [EgressRequest]
  assert.equal(url, 'http://o.example.test/new/a?b')
  assert.equal(publicUrl, 'http://shop.example.test/new/a?b')
  const field = (name: string) => headerValue(headers, name)
  assert.deepEqual(['x-rule', 'x-in', 'cookie', 'x-not', 'x-odd'].map(field), [
    'aoneb',
    '0ne',
    undefined,
    undefined,
    'aInjected: b \u00e9',
  ])
  assert.equal(field('host'), 'shop.example.test', 'without the port, which no key has')
  assert.deepEqual([pool, client], [aPool('o'), '127.0.0.1'])
})

test('rules of the answer see it, in the phase of the cache and on its way out', async (t) => {
  const { call } = await start(t, {
    rules: {
      headers: [
        header({ phase: 'cache', value: 'beresp.status' }),
        header({ phase: 'response', target: { kind: 'field', field: 'x-out' }, value: '"rule " resp.http.X-Rule' }),
        header({ phase: 'response', action: 'delete', target: { kind: 'field', field: 'server' } }),
        header({
          phase: 'response',
          target: { kind: 'field', field: 'x-html' },
          value: '"1"',
          when: 'resp.http.Content-Type ~ "html"',
        }),
      ],
    },
    answer: () => ({
      status: 201,
      headers: [
        'Server',
        'php',
        'Surrogate-Key',
        'a b',
        'Surrogate-Control',
        'max-age=9',
        'content-type',
        'text/plain',
      ],
      body: Buffer.from('x'),
    }),
  })
  const { status, field } = await call('/')
  assert.equal(status, 201)
  const names = ['x-rule', 'x-out', 'server', 'surrogate-key', 'surrogate-control', 'x-html']
  assert.deepEqual(names.map(field), ['201', 'rule 201', undefined, undefined, undefined, undefined])
})

test('settings of a request: TLS, passing, refreshing, keys, hosts and forwarded addresses', async (t) => {
  const { call, asked } = await start(t, {
    rules: {
      requests: [
        { name: 'tls', tlsOnly: true, when: 'req.url ~ "^/tls"' },
        { name: 'pass', pass: true, when: 'req.url ~ "^/pass"' },
        { name: 'fresh', refresh: true, key: { headers: ['x-a'] }, when: 'req.url ~ "^/fresh"' },
        { name: 'host', hostField: 'inner.example.test', forwardedFor: 'leave', when: 'req.url ~ "^/host"' },
        { name: 'clear', forwardedFor: 'clear', when: 'req.url ~ "^/clear"' },
        { name: 'over', forwardedFor: 'overwrite', when: 'req.url ~ "^/over"' },
      ],
    },
    site: { cache: { defaultTtl: 60 } },
  })
  const tls = await call('/tls?a')
  assert.deepEqual([tls.status, tls.field('location')], [301, 'https://shop.example.test/tls?a'])
  assert.equal(asked.length, 0)
  const cases: [string, object, string | undefined, string | undefined][] = [
    ['/pass', { policy: { defaultTtl: 60 }, bypass: true }, 'shop.example.test', '1.2.3.4, 127.0.0.1'],
    [
      '/fresh',
      { policy: { defaultTtl: 60, key: { headers: ['x-a'] } }, refresh: true },
      'shop.example.test',
      '1.2.3.4, 127.0.0.1',
    ],
    ['/host', { policy: { defaultTtl: 60 } }, 'inner.example.test', '1.2.3.4'],
    ['/clear', { policy: { defaultTtl: 60 } }, 'shop.example.test', undefined],
    ['/over', { policy: { defaultTtl: 60 } }, 'shop.example.test', '127.0.0.1'],
  ]
  for (const [path, cache, host, forwardedFor] of cases) {
    await call(path, ['X-Forwarded-For: 1.2.3.4'])
    const request = asked.at(-1)!
    assert.deepEqual(request.cache, cache, path)
    assert.deepEqual(
      [headerValue(request.headers, 'host'), headerValue(request.headers, 'x-forwarded-for')],
      [host, forwardedFor],
      path,
    )
  }
})

test('rules of caching: a wish where the request decides, Surrogate-Control where the answer does', async (t) => {
  const { call, asked } = await start(t, {
    rules: {
      caching: [
        { name: 'private', action: 'pass', when: 'req.url ~ "^/account"' },
        { name: 'static', action: 'keep', ttl: 600, staleIfError: 30, when: 'req.url.ext == "css"' },
        { name: 'gone', action: 'keep', ttl: 5, when: 'beresp.status == 404' },
        { name: 'broken', action: 'pass', when: 'beresp.status >= 500' },
      ],
    },
    answer: ({ url }) => ({ status: Number(/\d+$/.exec(url)?.[0] ?? 200), headers: ['age', '3'], body: null }),
  })
  const cases: [string, object | undefined, string | undefined][] = [
    ['/account/1.css', { bypass: true }, undefined],
    ['/a.css', { ttl: 600, everything: true, staleIfError: 30 }, undefined],
    ['/x/404', undefined, 'max-age=5'],
    ['/x/503', undefined, 'no-store'],
    ['/x/200', undefined, undefined],
  ]
  for (const [path, wish, surrogate] of cases) {
    await call(path)
    const request = asked.at(-1)!
    assert.deepEqual(request.cache, wish, path)
    const status = Number(/\d+$/.exec(path)?.[0] ?? 200)
    const changed = request.onOriginAnswer?.({ status, headers: [], body: null })
    assert.equal(changed && headerValue(changed.headers, 'surrogate-control'), surrogate, path)
  }
})

test('answers of our own, by what tables and lists say', async (t) => {
  const { call, asked } = await start(t, {
    rules: {
      answers: [
        {
          name: 'moved',
          phase: 'request',
          status: 410,
          reason: 'Moved Away',
          contentType: 'text/html',
          body: '<p>away',
          when: 'table.contains(away, req.url)',
        },
        { name: 'blocked', phase: 'request', status: 403, body: 'no', when: 'client.ip ~ blocked && req.url == "/b"' },
        { name: 'gone', phase: 'cache', status: 404, body: 'ours', when: 'beresp.status == 404' },
      ],
      headers: [header({ phase: 'response', value: '"out"' })],
    },
    lookups: {
      tables: { away: { '/a': '1' } },
      lists: { blocked: [{ address: '127.0.0.0', prefix: 8, negated: false }] },
    },
    answer: () => ({ status: 404, headers: ['x-theirs', '1'], body: Buffer.from('theirs') }),
  })
  const away = await call('/a')
  assert.deepEqual(
    [away.status, away.reason, away.text, away.field('content-type')],
    [410, 'Moved Away', '<p>away', 'text/html'],
  )
  assert.equal(away.field('x-rule'), 'out')
  assert.equal((await call('/b')).status, 403)
  assert.equal(asked.length, 0)
  const gone = await call('/c')
  assert.deepEqual([gone.status, gone.text, gone.field('x-theirs')], [404, 'ours', undefined])
})

test('the pool is the last whose condition holds, else the one without', async (t) => {
  const { call, asked } = await start(t, {
    rules: {
      pools: [
        { name: 'img', pool: aPool('img'), when: 'req.url ~ "^/img"' },
        { name: 'big', pool: aPool('big'), when: 'req.url ~ "^/img/big"' },
        { name: 'usual', pool: aPool('a', 'b') },
      ],
    },
  })
  for (const [path, url, origins] of [
    ['/img/x', 'http://img.example.test/img/x', 'img'],
    ['/img/big', 'http://big.example.test/img/big', 'big'],
    ['/', 'http://a.example.test/', 'a b'],
  ]) {
    await call(path!)
    const request = asked.at(-1)!
    assert.deepEqual([request.url, request.pool?.origins.map(({ name }) => name).join(' ')], [url, origins])
  }
})

test('answers are compressed by type or extension for those who take it', async (t) => {
  const text = 'words '.repeat(200)
  const { call } = await start(t, {
    rules: { compression: [{ name: 'text', types: ['text/html'], extensions: ['svg'] }] },
    answer: ({ url }) => ({
      status: 200,
      headers: [
        'content-type',
        url.endsWith('html') ? 'text/html; charset=utf-8' : 'image/x',
        'etag',
        '"v1"',
        ...(url.includes('br') ? ['content-encoding', 'br'] : []),
      ],
      body: Buffer.from(url.includes('small') ? 'small' : text),
    }),
  })
  const vary = 'accept-encoding'
  const cases: [string, string | undefined, string | undefined, string | undefined][] = [
    ['/a.html', 'gzip', 'gzip', vary],
    ['/a.html', 'br;q=0.1, gzip;q=0.5', 'gzip', vary],
    ['/a.svg?v=1', 'x-gzip', 'gzip', vary],
    ['/a.html', 'br, gzip', 'br', vary],
    ['/a.html', 'gzip;q=0', undefined, vary],
    ['/a.html', undefined, undefined, vary],
    ['/a.png', 'gzip', undefined, undefined],
    ['/small.html', 'gzip', undefined, undefined],
    ['/br.html', 'br', 'br', undefined],
  ]
  for (const [path, accepts, coding, varies] of cases) {
    const answer = await call(path, accepts === undefined ? [] : [`Accept-Encoding: ${accepts}`])
    assert.deepEqual([answer.field('content-encoding'), answer.field('vary')], [coding, varies], `${path} ${accepts}`)
    if (coding !== 'gzip') continue
    assert.equal(answer.field('etag'), 'W/"v1"')
    assert.equal(gunzipSync(Buffer.from(answer.text, 'latin1')).toString(), text)
  }
})

test('PURGE needs the token, and goes by the address that the rules leave', async (t) => {
  const { call, purged, asked } = await start(t, {
    rules: {
      headers: [
        header({ phase: 'request', action: 'replace', target: { kind: 'url' }, value: 'req.url', pattern: '[?].*' }),
      ],
    },
  })
  const cases: [string[], number][] = [
    [[], 401],
    [['Fastly-Key: wrong'], 403],
    [['Authorization: Basic c2VjcmV0'], 401],
    [['Fastly-Key: secret'], 200],
    [['Authorization: Bearer secret', 'Fastly-Soft-Purge: 1'], 200],
  ]
  for (const [fields, status] of cases) {
    const answer = await call('/page?a=1', fields, 'PURGE')
    assert.equal(answer.status, status, fields.join())
    if (status === 200) assert.equal(answer.text, '{"status":"ok","id":"local-1-1"}\n')
  }
  const what = { kind: 'url' as const, url: 'http://shop.example.test/page' }
  assert.deepEqual(
    purged,
    [false, true].map((soft) => ({ scope: 'shop', soft, what })),
  )
  assert.equal(asked.length, 0)
})
