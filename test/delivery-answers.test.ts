/** What is done to answers on their way out, seen by curl in front of a real node. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { request } from 'node:http'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { brotliCompressSync, createGunzip } from 'node:zlib'
import { type Origin, startOrigin } from './support/delivery.ts'
import { type RunningNode, startNode, until } from './support/node.ts'

const page = '<p>a page that says the same again and again</p>\n'.repeat(400)
const host = 'shop.localhost'

interface Curled {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  /** After decoding. */
  readonly body: string
}

interface Stage {
  readonly node: RunningNode
  readonly origin: Origin
  curl(path: string, ...more: string[]): Promise<Curled>
}

async function startSite(t: TestContext, answers?: object): Promise<Stage> {
  const origin = await startOrigin(t)
  const node = await startNode(t)
  const added = await node.api('/rimward/v1/sites', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'shop', origin: origin.url, ...(answers && { answers }) }),
  })
  assert.equal(added.status, 201, await added.text())
  const { port } = new URL(node.addresses.http)
  async function curl(path: string, ...more: string[]): Promise<Curled> {
    const args = ['-sSi', '--resolve', `${host}:${port}:127.0.0.1`, `http://${host}:${port}${path}`, ...more]
    const { stdout } = await promisify(execFile)('curl', args, { maxBuffer: 64 * 1024 * 1024 })
    const end = stdout.indexOf('\r\n\r\n')
    const [first, ...lines] = stdout.slice(0, end).split('\r\n')
    const pairs = lines.map((line) => line.split(/:\s*(.*)/, 2) as [string, string])
    return {
      status: Number(first!.split(' ')[1]),
      headers: new Map(pairs.map(([name, value]) => [name.toLowerCase(), value])),
      body: stdout.slice(end + 4),
    }
  }
  return { node, origin, curl }
}

const accept = (field: string) => ['--compressed', '-H', `Accept-Encoding: ${field}`]

test('one fetch serves every coding, each encoded from the same object', async (t) => {
  const { origin, curl } = await startSite(t)
  origin.on('/page', (_asked, answer) =>
    answer.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'max-age=60', etag: '"one"' }).end(page),
  )
  for (const round of ['cold', 'hot', 'kept'])
    for (const [field, coding] of [
      ['gzip, deflate, br, zstd', 'zstd'],
      ['gzip, deflate, br', 'br'],
      ['gzip;q=0.5, br;q=0', 'gzip'],
      ['identity', undefined],
    ] as const) {
      const { status, headers, body } = await curl('/page', ...accept(field))
      assert.deepEqual([status, headers.get('content-encoding')], [200, coding], `${round} ${field}`)
      assert.match(headers.get('vary')!, /accept-encoding/i)
      assert.equal(headers.get('etag'), coding === undefined ? '"one"' : 'W/"one"')
      assert.equal(body, page)
    }
  assert.equal(origin.seen('/page').length, 1)
  const part = await curl('/page', '-r', '3-8', '-H', 'Accept-Encoding: gzip')
  assert.deepEqual([part.status, part.body, part.headers.get('content-encoding')], [206, 'a page', undefined])
  const same = await curl('/page', '-H', 'Accept-Encoding: gzip', '-H', 'If-None-Match: W/"one"')
  assert.equal(same.status, 304)
  const head = await curl('/page', '-I', '-H', 'Accept-Encoding: gzip')
  assert.deepEqual([head.headers.get('content-encoding'), head.headers.get('content-length')], ['gzip', undefined])
  assert.equal(origin.seen('/page').length, 1)
})

test('what is not worth it, or must not be changed, passes as the origin sent it', async (t) => {
  const { origin, curl } = await startSite(t)
  const rows: [string, number, Record<string, string>, string][] = [
    ['/small', 200, { 'content-type': 'text/html', 'content-length': '5' }, 'small'],
    ['/image', 200, { 'content-type': 'image/png' }, page],
    ['/kept', 200, { 'content-type': 'text/html', 'cache-control': 'max-age=60, no-transform' }, page],
    ['/digest', 200, { 'content-type': 'text/html', 'content-digest': 'sha-256=:AA==:' }, page],
    ['/failed', 500, { 'content-type': 'text/html' }, page],
  ]
  for (const [path, status, headers, body] of rows) {
    origin.on(path, (_asked, answer) =>
      answer.writeHead(status, { 'cache-control': 'max-age=60', etag: '"strong"', ...headers }).end(body),
    )
    for (const _ of ['cold', 'hot']) {
      const got = await curl(path, ...accept('gzip, br, zstd'))
      assert.deepEqual([got.status, got.headers.get('content-encoding'), got.body], [status, undefined, body], path)
      assert.equal(got.headers.get('etag'), '"strong"')
    }
  }
  for (const status of [403, 404]) {
    origin.on(`/${status}`, (_asked, answer) => answer.writeHead(status, { 'content-type': 'text/html' }).end(page))
    const got = await curl(`/${status}`, ...accept('gzip, br, zstd'))
    assert.deepEqual([got.headers.get('content-encoding'), got.body], ['zstd', page])
  }
})

test('a large object is encoded once for each coding, kept, and gone with a purge', { timeout: 60_000 }, async (t) => {
  const { node, origin, curl } = await startSite(t)
  // The first lies in memory, the second on disk alone.
  for (const [path, times] of [
    ['/large', 60],
    ['/larger', 900],
  ] as const) {
    let version = 1
    const text = () => `version ${version}\n${page.repeat(times)}`
    origin.on(path, (asked, answer) => {
      const etag = `"v${version}"`
      const headers = { 'content-type': 'text/css', 'cache-control': 'max-age=60', 'surrogate-key': 'large', etag }
      if (asked.headers['if-none-match'] === etag) answer.writeHead(304, headers).end()
      else answer.writeHead(200, headers).end(text())
    })
    const ask = async (field: string, coding: string) => {
      const { status, headers, body } = await curl(path, ...accept(field))
      assert.deepEqual([status, headers.get('content-encoding')], [200, coding], `${path} ${field}`)
      assert.equal(body === text(), true, `${path} ${field}`)
      return [headers.get('cf-cache-status'), headers.has('content-length') ? 'kept' : 'encoded'].join(' ')
    }
    const codings = [
      ['gzip', 'gzip'],
      ['gzip, br', 'br'],
      ['gzip, br, zstd', 'zstd'],
    ] as const
    assert.equal(await ask('gzip', 'gzip'), 'MISS encoded')
    for (const expected of ['HIT encoded', 'HIT kept', 'HIT kept'])
      for (const [field, coding] of codings) {
        // What was encoded is stored a moment after its last byte left.
        if (expected === 'HIT kept')
          await until(async () => (await ask(field, coding)) === expected, `${path} ${coding}`)
        else assert.equal(await ask(field, coding), expected, `${path} ${coding}`)
      }
    assert.equal(origin.seen(path).length, 1)

    // What the origin confirms keeps its codings.
    const purge = (body: object) =>
      node.api('/rimward/v1/purge', { method: 'POST', body: JSON.stringify({ tags: ['large'], ...body }) })
    assert.ok((await purge({ soft: true })).ok)
    assert.equal(await ask('gzip', 'gzip'), 'REVALIDATED kept')
    // On disk the sweep of the purge and this refresh may meet: then the origin is asked once more.
    await until(async () => (await ask('gzip, br', 'br')) === 'HIT kept', `${path} is fresh again`)
    assert.deepEqual(
      new Set(origin.seen(path).map(({ headers }) => headers['if-none-match'])),
      new Set([undefined, '"v1"']),
    )
    const before = origin.seen(path).length

    version = 2
    assert.ok((await purge({})).ok)
    assert.equal(await ask('gzip, br', 'br'), 'MISS encoded')
    for (const [field, coding] of codings) assert.equal(await ask(field, coding), 'HIT encoded')
    assert.equal(origin.seen(path).length, before + 1)
  }
})

test('an origin that sends brotli to everybody is read by everybody', async (t) => {
  const { origin, curl } = await startSite(t)
  origin.on('/br', (_asked, answer) =>
    answer
      .writeHead(200, { 'content-type': 'text/html', 'content-encoding': 'br', 'cache-control': 'max-age=60' })
      .end(brotliCompressSync(page)),
  )
  for (const [field, coding] of [
    ['br', 'br'],
    ['gzip', 'gzip'],
    ['identity', undefined],
  ] as const) {
    const { headers, body } = await curl('/br', ...accept(field))
    assert.deepEqual([headers.get('content-encoding'), body], [coding, page])
  }
  assert.equal((await curl('/br')).body, page)
})

test('a page that comes in pieces is compressed in pieces; events are left alone', async (t) => {
  const { node, origin } = await startSite(t)
  const next = Promise.withResolvers<void>()
  for (const [path, type] of [
    ['/slow', 'text/html'],
    ['/events', 'text/event-stream'],
  ])
    origin.on(path!, async (_asked, answer) => {
      answer.writeHead(200, { 'content-type': type!, 'cache-control': 'no-store' }).write('first')
      await next.promise
      answer.end('second')
    })
  for (const path of ['/slow', '/events']) {
    const { hostname, port } = new URL(node.addresses.http)
    const headers = { host, 'accept-encoding': 'gzip' }
    await new Promise<void>((resolve, reject) => {
      request({ hostname, port, path, headers, agent: false }, (answer) => {
        const coded = path === '/slow'
        assert.equal(answer.headers['content-encoding'], coded ? 'gzip' : undefined)
        const plain = coded ? answer.pipe(createGunzip()) : answer
        let text = ''
        plain.on('data', (chunk) => {
          text += chunk
          if (text === 'first') next.resolve()
        })
        plain.on('end', () => {
          assert.equal(text, 'firstsecond')
          resolve()
        })
      })
        .on('error', reject)
        .end()
    })
  }
})

test('redirects, header rules and early hints of a site from the API', async (t) => {
  const { node, origin, curl } = await startSite(t, {
    redirects: [{ from: '/old/*', to: '/new/:splat', status: 308 }],
    headers: [
      { action: 'set', name: 'X-Frame-Options', value: 'DENY' },
      { action: 'remove', name: 'Server' },
    ],
    earlyHints: 'always',
    compression: 'off',
  })
  const link = '</a.css>; rel=preload; as=style'
  let release = Promise.withResolvers<void>()
  origin.on('/', async (_asked, answer) => {
    await release.promise
    answer.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'no-cache', server: 'x', link }).end(page)
  })
  const moved = await curl('/old/a?b')
  assert.deepEqual([moved.status, moved.headers.get('location')], [308, '/new/a?b'])
  release.resolve()
  const first = await curl('/', ...accept('gzip'))
  assert.equal(first.headers.get('x-frame-options'), 'DENY')
  for (const name of ['server', 'content-encoding']) assert.equal(first.headers.get(name), undefined, name)

  release = Promise.withResolvers()
  const { hostname, port } = new URL(node.addresses.http)
  await new Promise<void>((resolve, reject) => {
    // The origin answers only once the hint is here: it came first.
    request({ hostname, port, path: '/', headers: { host }, agent: false }, (answer) =>
      answer.resume().on('end', resolve),
    )
      .on('information', ({ statusCode, headers }) => {
        if (statusCode === 103 && headers.link === link) release.resolve()
      })
      .on('error', reject)
      .end()
  })
  const listed = (await (await node.api('/rimward/v1/sites')).json()) as object
  assert.match(JSON.stringify(listed), /"earlyHints":"always"/)
})
