/** Cloudflare's cache rules, set by its API, on a plain site of a real node: seen from outside and at the origin. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Delivery, say, startDelivery } from './support/delivery.ts'
import { startNode } from './support/node.ts'

const hour = { 'cache-control': 'max-age=3600' }
const silent = { 'content-type': 'text/html' }

/** Of `shop.localhost`, as `GET /zones?name=` gives it. */
async function zoneOf(site: Delivery, name = 'shop.localhost'): Promise<string> {
  const answer = await call(site, 'GET', `/zones?name=${name}`)
  return answer.result[0].id
}

interface Envelope {
  readonly status: number
  readonly success: boolean
  readonly errors: { code: number; message: string; meta?: { source: { pointer: string } } }[]
  // biome-ignore lint/suspicious/noExplicitAny: whatever the API answers
  readonly result: any
}

async function call(site: Delivery, method: string, path: string, body?: unknown): Promise<Envelope> {
  const answer = await site.node.api(`/client/v4${path}`, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
  const text = await answer.text()
  return { status: answer.status, ...(text === '' ? {} : JSON.parse(text)) }
}

const entrypoint = (zone: string) => `/zones/${zone}/rulesets/phases/http_request_cache_settings/entrypoint`

async function setRules(site: Delivery, rules: readonly (readonly [string, object])[]): Promise<Envelope> {
  const body = {
    rules: rules.map(([expression, action_parameters]) => ({
      action: 'set_cache_settings',
      expression,
      action_parameters,
    })),
  }
  const answer = await call(site, 'PUT', entrypoint(await zoneOf(site)), body)
  assert.equal(answer.success, true, JSON.stringify(answer.errors))
  return answer
}

test('cache rules decide what is kept, for how long and under which key', { timeout: 120_000 }, async (t) => {
  const site = await startDelivery(t)
  const { origin } = site
  /** What two requests in a row got from the cache, and the second's answer. */
  async function twice(path: string, one: Record<string, string> = {}, other = one, otherPath = path) {
    const first = await site.get(path, { headers: one })
    const second = await site.get(otherPath, { headers: other })
    return { said: `${first.headers['cf-cache-status']} ${second.headers['cf-cache-status']}`, first, second }
  }

  await t.test('cache: false passes, cache: true keeps what says nothing', async () => {
    for (const path of ['/plain', '/page', '/admin/page', '/missing'])
      origin.on(path, say(path === '/admin/page' ? hour : silent, path, path === '/missing' ? 404 : 200))
    assert.equal((await twice('/plain')).said, 'DYNAMIC DYNAMIC')
    await setRules(site, [
      ['http.host eq "shop.localhost" and http.request.uri.path in {"/page" "/missing"}', { cache: true }],
      ['starts_with(http.request.uri.path, "/admin/")', { cache: false }],
    ])
    assert.equal((await twice('/page')).said, 'MISS HIT')
    assert.equal((await twice('/missing')).said, 'MISS HIT')
    assert.equal((await twice('/admin/page')).said, 'BYPASS BYPASS')
    assert.equal((await twice('/plain')).said, 'DYNAMIC DYNAMIC')
  })

  await t.test('edge_ttl', async () => {
    origin.on('/forced', say({ ...silent, 'cache-control': 'no-store' }))
    origin.on('/forced-private', say({ ...silent, 'cache-control': 'private' }))
    origin.on('/forced-404', say({}, 'gone', 404))
    origin.on('/forced-500', say({}, 'broken', 500))
    origin.on('/stated', say({ ...silent, 'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT' }))
    origin.on('/stated-hour', say(hour))
    await setRules(site, [
      [
        'http.request.uri.path wildcard "/forced*"',
        {
          cache: true,
          edge_ttl: {
            mode: 'override_origin',
            default: 60,
            status_code_ttl: [
              { status_code: 404, value: 30 },
              { status_code_range: { from: 500 }, value: -1 },
            ],
          },
        },
      ],
      ['http.request.uri.path wildcard "/stated*"', { cache: true, edge_ttl: { mode: 'bypass_by_default' } }],
    ])
    assert.equal((await twice('/forced')).said, 'MISS HIT')
    assert.match(String((await site.get('/forced')).headers['cache-status']), /ttl=(60|59)/)
    assert.equal((await twice('/forced-private')).said, 'MISS HIT')
    assert.match(String((await twice('/forced-404')).second.headers['cache-status']), /hit; ttl=(30|29)/)
    assert.equal((await twice('/forced-500')).said, 'DYNAMIC DYNAMIC')
    const stated = await twice('/stated')
    assert.equal(stated.said, 'DYNAMIC DYNAMIC')
    assert.equal((await twice('/stated-hour')).said, 'MISS HIT')
  })

  await t.test('a time to live without cache: true is for files, not for pages', async () => {
    origin.on('/only/a.css', say({ 'content-type': 'text/css' }))
    origin.on('/only/page', say(silent))
    await setRules(site, [
      ['starts_with(http.request.uri, "/only/")', { edge_ttl: { mode: 'override_origin', default: 60 } }],
    ])
    assert.equal((await twice('/only/a.css')).said, 'MISS HIT')
    assert.equal((await twice('/only/page')).said, 'DYNAMIC DYNAMIC')
  })

  await t.test('browser_ttl', async () => {
    origin.on('/browser', say({ ...hour, expires: 'Mon, 01 Jan 2035 00:00:00 GMT' }))
    origin.on('/silent', say(silent))
    origin.on('/browser-private', say({ ...silent, 'cache-control': 'private, max-age=5' }))
    await setRules(site, [
      ['starts_with(http.request.uri.path, "/browser")', { browser_ttl: { mode: 'override_origin', default: 30 } }],
      ['http.request.uri.path eq "/silent"', { cache: true, browser_ttl: { mode: 'bypass_by_default' } }],
    ])
    const { said, first, second } = await twice('/browser')
    assert.equal(said, 'MISS HIT')
    for (const { headers } of [first, second])
      assert.deepEqual([headers['cache-control'], headers.expires], ['max-age=30', undefined])
    assert.equal((await twice('/browser-private')).second.headers['cache-control'], 'private, max-age=5')
    assert.equal((await twice('/silent')).second.headers['cache-control'], 'no-store')
  })

  await t.test('cache_key', async () => {
    for (const path of ['/key/?a=1&b=2', '/key/?b=2&a=1', '/key/?a=1&utm=x', '/key/', '/key/?a=2', '/key/me'])
      origin.on(path, say(hour, path))
    const custom_key = {
      query_string: { exclude: { list: ['utm'] } },
      header: { include: ['X-Lang'], check_presence: ['x-debug'], contains: { accept: ['image/webp'] } },
      cookie: { include: ['plan'], check_presence: ['session'] },
      user: { device_type: true, geo: true, lang: true },
    }
    await setRules(site, [
      [
        'starts_with(http.request.uri, "/key/")',
        { cache: true, cache_key: { custom_key, ignore_query_strings_order: true } },
      ],
    ])
    const table: [Record<string, string>, Record<string, string>, string, string?, string?][] = [
      [{}, {}, 'MISS HIT', '/key/?a=1&b=2', '/key/?b=2&a=1'],
      [{ 'x-lang': 'x' }, { 'x-lang': 'x' }, 'MISS HIT', '/key/?a=1', '/key/?a=1&utm=x'],
      [{ 'x-lang': 'en' }, { 'x-lang': 'de' }, 'MISS MISS'],
      [{ 'x-debug': '1', 'x-lang': '1' }, { 'x-debug': '2', 'x-lang': '1' }, 'MISS HIT'],
      [{ 'x-lang': '2' }, { 'x-debug': '1', 'x-lang': '2' }, 'MISS MISS'],
      [{ accept: 'image/webp,*/*', 'x-lang': '3' }, { accept: 'image/webp', 'x-lang': '3' }, 'MISS HIT'],
      [{ accept: 'image/webp', 'x-lang': '4' }, { accept: 'image/png', 'x-lang': '4' }, 'MISS MISS'],
      [{ cookie: 'plan=a; x=1' }, { cookie: 'plan=a; x=2' }, 'MISS HIT'],
      [{ cookie: 'plan=b' }, { cookie: 'plan=c' }, 'MISS MISS'],
      [{ cookie: 'plan=d; session=1' }, { cookie: 'session=2; plan=d' }, 'MISS HIT'],
      [{ cookie: 'plan=e; session=1' }, { cookie: 'plan=e' }, 'MISS MISS'],
      [{ 'user-agent': 'iPhone; Mobile', 'x-lang': '5' }, { 'user-agent': 'Linux; X11', 'x-lang': '5' }, 'MISS MISS'],
      [{ 'user-agent': 'Android; Mobile', 'x-lang': '6' }, { 'user-agent': 'iPhone', 'x-lang': '6' }, 'MISS HIT'],
      [{ 'accept-language': 'de-AT,en', 'x-lang': '7' }, { 'accept-language': 'de', 'x-lang': '7' }, 'MISS HIT'],
      [{ 'accept-language': 'de', 'x-lang': '8' }, { 'accept-language': 'en', 'x-lang': '8' }, 'MISS MISS'],
    ]
    for (const [one, other, said, path = '/key/me', otherPath = path] of table) {
      if (path !== '/key/me') origin.on(path, say(hour, path))
      assert.equal((await twice(path, one, other, otherPath)).said, said, JSON.stringify([one, other]))
    }
  })

  await t.test('serve_stale and respect_strong_etags', async () => {
    const swr = 'max-age=0, stale-while-revalidate=600'
    for (const path of ['/swr', '/never-stale'])
      origin.on(path, (_asked, answer, count) =>
        answer.writeHead(200, { 'cache-control': swr, etag: `"${count}"` }).end(`${count}`),
      )
    for (const path of ['/strong.css', '/weak.css'])
      origin.on(path, say({ ...hour, etag: '"a"', 'content-type': 'text/css' }, 'a { color: red }\n'.repeat(100)))
    await setRules(site, [
      ['http.request.uri.path eq "/never-stale"', { cache: true, serve_stale: { disable_stale_while_updating: true } }],
      ['http.request.uri.path eq "/strong.css"', { respect_strong_etags: true }],
    ])
    assert.match((await twice('/swr')).said, /MISS (STALE|UPDATING)/)
    assert.match((await twice('/never-stale')).said, /MISS EXPIRED/)
    const headers = { 'accept-encoding': 'gzip' }
    const weak = (await site.get('/weak.css', { headers })).headers
    assert.deepEqual([weak.etag, weak['content-encoding']], ['W/"a"', 'gzip'])
    const strong = (await site.get('/strong.css', { headers })).headers
    assert.deepEqual([strong.etag, strong['content-encoding']], ['"a"', undefined])
  })

  await t.test('every rule that matches counts, the later one more', async () => {
    origin.on('/merged', say(silent))
    await setRules(site, [
      [
        'true',
        {
          cache: true,
          edge_ttl: { mode: 'override_origin', default: 50 },
          browser_ttl: { mode: 'override_origin', default: 9 },
        },
      ],
      ['http.request.uri.path eq "/merged"', { edge_ttl: { mode: 'override_origin', default: 20 } }],
    ])
    const { second } = await twice('/merged')
    assert.match(String(second.headers['cache-status']), /hit; ttl=(20|19)/)
    assert.equal(second.headers['cache-control'], 'max-age=9')
  })

  await t.test('rules go when they are taken away', async () => {
    const zone = await zoneOf(site)
    await setRules(site, [['true', { cache: true }]])
    const { result } = await call(site, 'GET', entrypoint(zone))
    assert.equal((await call(site, 'DELETE', `/zones/${zone}/rulesets/${result.id}`)).status, 204)
    origin.on('/after', say(silent))
    assert.equal((await twice('/after')).said, 'DYNAMIC DYNAMIC')
    assert.equal((await call(site, 'GET', entrypoint(zone))).status, 404)
  })
})

test('a page in the guise of a file is not kept: caching by extension with the armor on', {
  timeout: 60_000,
}, async (t) => {
  const site = await startDelivery(t, { staticFiles: {} })
  const { origin } = site
  origin.on('/logo.png', say({ 'content-type': 'image/png' }, 'pixels'))
  origin.on('/site.css?v=1', say({ 'content-type': 'text/css; charset=utf-8' }, 'a {}'))
  origin.on('/data.json', say({ 'content-type': 'application/json' }, '{}'))
  origin.on('/report.pdf', say({ 'content-type': 'application/octet-stream' }, '%PDF'))
  for (const [path, kept] of [
    ['/logo.png', true],
    ['/site.css?v=1', true],
    ['/report.pdf', true],
    ['/data.json', false],
  ] as const) {
    await site.get(path)
    assert.equal((await site.get(path)).headers['cf-cache-status'], kept ? 'HIT' : 'DYNAMIC', path)
  }
  const disguises = [
    '/account/x.css',
    '/account;a.png',
    '/account%2fa.css',
    '/account%00.css',
    '/account/..%2fstatic.js',
  ]
  const steal = async (path: string) => {
    assert.equal((await site.get(path, { headers: { cookie: 'victim' } })).text, 'victim', path)
    assert.equal((await site.get(path, { headers: { cookie: 'thief' } })).text, 'thief', path)
  }
  const own = (headers: Record<string, string>) => (path: string) =>
    origin.on(path, (asked, answer) => void answer.writeHead(200, headers).end(asked.headers.cookie))
  disguises.forEach(own(silent))
  for (const path of disguises) await steal(path)

  await t.test('the armor stands before a time to live that a rule forces', async () => {
    const forced = {
      cache: true,
      edge_ttl: { mode: 'override_origin', default: 60 },
      cache_key: { cache_deception_armor: true },
    }
    await setRules(site, [['true', forced]])
    for (const path of disguises) await steal(path)
    origin.on('/forced.css', say({ 'content-type': 'text/css' }))
    await site.get('/forced.css')
    assert.equal((await site.get('/forced.css')).headers['cf-cache-status'], 'HIT')
    const paths = ['/api/me.js', '/api/me.xlsx']
    paths.forEach(own({ 'content-type': 'application/json' }))
    for (const path of paths) await steal(path)
  })
})

test("Cloudflare's calls for rulesets", { timeout: 60_000 }, async (t) => {
  const site = await startDelivery(t)
  const zone = await zoneOf(site)
  const at = `/zones/${zone}/rulesets`
  const one = {
    action: 'set_cache_settings',
    action_parameters: { cache: true },
    expression: 'ssl',
    description: 'one',
  }

  assert.deepEqual((await call(site, 'GET', at)).result, [])
  assert.equal((await call(site, 'GET', entrypoint(zone))).errors[0]!.code, 10003)
  const made = await call(site, 'POST', at, {
    name: 'mine',
    kind: 'zone',
    phase: 'http_request_cache_settings',
    rules: [one],
  })
  assert.equal(made.result.version, '1')
  assert.equal(
    (await call(site, 'POST', at, { name: 'x', kind: 'zone', phase: 'http_request_cache_settings' })).errors[0]!.code,
    20217,
  )
  const id = made.result.id
  assert.match(id, /^[0-9a-f]{32}$/)
  assert.deepEqual(
    (await call(site, 'GET', at)).result.map((row: { id: string }) => row.id),
    [id],
  )
  assert.deepEqual((await call(site, 'GET', `${at}/${id}`)).result, made.result)

  const added = await call(site, 'POST', `${at}/${id}/rules`, { ...one, description: 'two', position: { before: '' } })
  assert.deepEqual(descriptions(added), ['two', 'one'])
  const both = await Promise.all(
    ['three', 'four'].map((description) => call(site, 'POST', `${at}/${id}/rules`, { ...one, description })),
  )
  assert.ok(both.every(({ success }) => success))
  const [two, first] = added.result.rules
  const moved = await call(site, 'PATCH', `${at}/${id}/rules/${two.id}`, {
    position: { after: first.id },
    enabled: false,
  })
  assert.deepEqual(descriptions(moved).slice(0, 2), ['one', 'two'])
  assert.deepEqual(
    [moved.result.rules[1].enabled, moved.result.rules[1].version, moved.result.rules[1].id],
    [false, '2', two.id],
  )
  const gone = await call(site, 'DELETE', `${at}/${id}/rules/${first.id}`)
  assert.equal(descriptions(gone).includes('one'), false)
  const kept = await call(site, 'PUT', `${at}/${id}`, { rules: [{ ...one, id: two.id }] })
  assert.deepEqual([kept.result.id, kept.result.rules.length, kept.result.rules[0].id], [id, 1, two.id])

  const parameters = (action_parameters: object) => ({ rules: [{ ...one, action_parameters }] })
  const refused: [string, string, unknown, number, RegExp][] = [
    [
      'PUT',
      entrypoint(zone),
      { rules: [{ ...one, expression: 'http.hst eq "a"' }] },
      20127,
      /\(1:1\):\nhttp\.hst eq "a"\n\^{8} the field 'http\.hst'/,
    ],
    ['PUT', entrypoint(zone), { rules: [{ ...one, action: 'block' }] }, 10001, /set_cache_settings/],
    ['PUT', entrypoint(zone), { kind: 'root', rules: [] }, 10001, /kind/],
    ['PUT', entrypoint(zone), parameters({ cache_reserve: { eligible: true } }), 10501, /cache_reserve/],
    ['PUT', entrypoint(zone), parameters({ read_timeout: 5 }), 10501, /read_timeout/],
    ['PUT', entrypoint(zone), parameters({ edge_ttl: { mode: 'override_origin' } }), 10001, /edge_ttl\.default/],
    [
      'PUT',
      entrypoint(zone),
      parameters({ edge_ttl: { mode: 'respect_origin', default: 5 } }),
      10001,
      /edge_ttl\.default/,
    ],
    ['PUT', entrypoint(zone), parameters({ browser_ttl: { mode: 'sometimes' } }), 10001, /browser_ttl\.mode/],
    [
      'PUT',
      entrypoint(zone),
      parameters({ cache_key: { custom_key: { host: { resolved: true } } } }),
      10001,
      /resolved/,
    ],
    [
      'PUT',
      entrypoint(zone),
      parameters({ cache_key: { custom_key: { header: { include: ['a b'] } } } }),
      10001,
      /header field/,
    ],
    [
      'PUT',
      entrypoint(zone),
      {
        rules: [
          { ...one, ref: 'r' },
          { ...one, ref: 'r' },
        ],
      },
      10001,
      /ref/,
    ],
    ['PUT', entrypoint(zone), { rules: Array.from({ length: 301 }, () => one) }, 10037, /301 cache rules/],
    ['PUT', `${at}/phases/http_ratelimit/entrypoint`, { rules: [] }, 10501, /http_ratelimit/],
    ['PUT', entrypoint('0'.repeat(32)), { rules: [] }, 1001, /zone/],
    ['PUT', `${at}/${'0'.repeat(32)}`, { rules: [] }, 10003, /ruleset/],
    ['PATCH', `${at}/${id}/rules/none`, {}, 10003, /rule none/],
    ['POST', `${at}/${id}/rules`, { ...one, position: { after: 'none' } }, 10003, /rule none/],
    ['GET', `${at}/${id}/versions`, undefined, 7003, /versions/],
  ]
  for (const [method, path, body, code, message] of refused) {
    const answer = await call(site, method, path, body)
    assert.equal(answer.errors[0]?.code, code, `${message}: ${JSON.stringify(answer)}`)
    assert.match(answer.errors[0]!.message, message)
  }
  assert.deepEqual((await call(site, 'GET', entrypoint(zone))).result, kept.result, 'what was refused changed nothing')

  await setRules(site, [['http.request.uri.path eq "/kept"', { cache: true }]])
  await site.node.stop('SIGKILL')
  const again = await startNode(t, { data: site.node.data })
  site.origin.on('/kept', say(silent))
  await again.get('shop.localhost', '/kept')
  assert.equal((await again.get('shop.localhost', '/kept')).headers['cf-cache-status'], 'HIT', 'rules outlive SIGKILL')
})

function descriptions({ result }: Envelope): string[] {
  return result.rules.map(({ description }: { description: string }) => description)
}
