/** Revalidation, conditional requests of clients, HEAD, ranges, and the variants of `Vary`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { say, startDelivery } from './support/delivery.ts'

const fresh = { 'cache-control': 'max-age=60' }
const digits = '0123456789'

test('what is stored, asked for in other ways', { timeout: 60_000 }, async (t) => {
  const site = await startDelivery(t)
  const { origin } = site

  await t.test('a stale answer is validated, its fields renewed, its body reused', async () => {
    origin.on('/valid', (_asked, answer, count) => {
      if (count === 1)
        answer.writeHead(200, { 'cache-control': 'max-age=5', age: '9', etag: '"a"', 'x-n': '1' }).end('a')
      else answer.writeHead(304, { 'cache-control': 'max-age=60', etag: '"a"', 'x-n': '2' }).end()
    })
    await site.get('/valid')
    const { status, text, headers } = await site.get('/valid')
    assert.deepEqual([status, text, headers['x-n'], headers['cf-cache-status']], [200, 'a', '2', 'REVALIDATED'])
    assert.equal(origin.seen('/valid')[1]!.headers['if-none-match'], '"a"')
    assert.equal((await site.get('/valid')).headers['cf-cache-status'], 'HIT')
    assert.equal(origin.seen('/valid').length, 2)
  })

  await t.test('the conditions of clients are answered here, also on a miss', async () => {
    origin.on('/tagged', say({ ...fresh, etag: '"t"', 'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT' }))
    assert.equal((await site.get('/tagged', { headers: { 'if-none-match': '"t"' } })).status, 304)
    assert.equal(origin.seen('/tagged')[0]!.headers['if-none-match'], undefined)
    const rows: [Record<string, string>, number][] = [
      [{ 'if-none-match': '"x", W/"t"' }, 304],
      [{ 'if-none-match': '"x"' }, 200],
      [{ 'if-none-match': '"x"', 'if-modified-since': 'Mon, 01 Jan 2024 00:00:00 GMT' }, 200],
      [{ 'if-modified-since': 'Mon, 01 Jan 2024 00:00:00 GMT' }, 304],
      [{ 'if-modified-since': 'Sun, 31 Dec 2023 23:59:59 GMT' }, 200],
      [{ 'if-modified-since': 'yesterday' }, 200],
    ]
    for (const [headers, status] of rows)
      assert.equal((await site.get('/tagged', { headers })).status, status, JSON.stringify(headers))
    assert.equal(origin.seen('/tagged').length, 1)
  })

  await t.test('HEAD fills the cache and is answered from it', async () => {
    origin.on('/head', say({ ...fresh, 'content-length': '5' }))
    const first = await site.get('/head', { method: 'HEAD' })
    assert.deepEqual([first.status, first.text, first.headers['content-length']], [200, '', '5'])
    assert.equal((await site.get('/head')).text, 'hello')
    assert.equal((await site.get('/head', { method: 'HEAD' })).headers['content-length'], '5')
    assert.deepEqual(
      origin.seen('/head').map(({ method }) => method),
      ['GET'],
    )
  })

  await t.test('ranges are cut out of what is stored whole', async () => {
    origin.on('/whole', say({ ...fresh, etag: '"w"' }, digits))
    await site.get('/whole')
    const rows: [Record<string, string>, number, string, string | undefined][] = [
      [{ range: 'bytes=2-4' }, 206, '234', 'bytes 2-4/10'],
      [{ range: 'bytes=7-' }, 206, '789', 'bytes 7-9/10'],
      [{ range: 'bytes=-2' }, 206, '89', 'bytes 8-9/10'],
      [{ range: 'bytes=10-' }, 416, '', 'bytes */10'],
      [{ range: 'bytes=0-1,4-5' }, 206, '012345', 'bytes 0-5/10'],
      [{ range: 'bytes=2-4', 'if-range': '"w"' }, 206, '234', 'bytes 2-4/10'],
      [{ range: 'bytes=2-4', 'if-range': '"other"' }, 200, digits, undefined],
    ]
    for (const [headers, ...expected] of rows) {
      const got = await site.get('/whole', { headers })
      assert.deepEqual([got.status, got.text, got.headers['content-range']], expected, JSON.stringify(headers))
    }
    assert.equal(origin.seen('/whole').length, 1)
  })

  await t.test('several ranges come in one answer, cold and warm, and never cost more than the whole', async () => {
    const text = Array.from({ length: 2000 }, (_, index) => String(index).padStart(9, '.')).join(' ')
    const type = { 'content-type': 'text/x-numbers' }
    for (const path of ['/parts', '/parts-cold'])
      origin.on(path, say({ ...fresh, ...type, etag: '"m"', 'content-length': String(text.length) }, text))
    await site.get('/parts')
    const rows: [string, string, [number, number][]][] = [
      [
        '/parts',
        'bytes=10-19,5000-5009,-10',
        [
          [10, 19],
          [5000, 5009],
          [19989, 19998],
        ],
      ],
      [
        '/parts',
        'bytes=5000-5009,10-19',
        [
          [5000, 5009],
          [10, 19],
        ],
      ],
      [
        '/parts-cold',
        'bytes=10-19,5000-5009',
        [
          [10, 19],
          [5000, 5009],
        ],
      ],
      [
        '/parts-cold',
        'bytes=0-9,4-12,9000-9001',
        [
          [0, 12],
          [9000, 9001],
        ],
      ],
    ]
    for (const [path, range, parts] of rows) {
      const got = await site.get(path, { headers: { range } })
      const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(got.headers['content-type'] ?? '')?.[1]
      assert.equal(got.status, 206, range)
      const expected = parts.map(
        ([start, end]) =>
          `--${boundary}\r\nContent-Type: text/x-numbers\r\nContent-Range: bytes ${start}-${end}/${text.length}\r\n\r\n` +
          `${text.slice(start, end + 1)}\r\n`,
      )
      assert.equal(got.text, `${expected.join('')}--${boundary}--\r\n`)
      assert.equal(got.headers['content-length'], String(got.text.length))
      assert.equal(got.headers['content-range'], undefined)
      assert.equal(got.headers.etag, '"m"')
    }
    for (const path of ['/parts', '/parts-cold'])
      assert.deepEqual(
        origin.seen(path).map(({ headers }) => headers.range),
        [undefined],
        path,
      )
    // «RangeAmp»: overlapping, tiny and countless ranges.
    const attacks = [
      `bytes=${'0-,'.repeat(500)}0-`,
      `bytes=${Array.from({ length: 500 }, (_, n) => `${n * 40}-${n * 40}`)}`,
    ]
    for (const range of attacks) {
      const got = await site.get('/parts', { headers: { range } })
      assert.ok(got.text.length <= text.length, `${got.text.length} bytes`)
    }
    const none = await site.get('/parts', { headers: { range: 'bytes=20000-,30000-' } })
    assert.deepEqual([none.status, none.headers['content-range']], [416, `bytes */${text.length}`])
    const elsewhere = await site.get('/parts', { headers: { range: 'bytes=0-1,5000-5001', 'if-range': '"old"' } })
    assert.deepEqual([elsewhere.status, elsewhere.text.length], [200, text.length])
  })

  await t.test('a cold range costs no more than itself, and is kept', async () => {
    origin.on('/part', (asked, answer) => {
      assert.equal(asked.headers.range, 'bytes=2-5')
      answer.writeHead(206, { ...fresh, etag: '"p"', 'content-range': 'bytes 2-5/10' }).end('2345')
    })
    const got = await site.get('/part', { headers: { range: 'bytes=2-5' } })
    assert.deepEqual([got.status, got.text, got.headers['content-range']], [206, '2345', 'bytes 2-5/10'])
    const within = await site.get('/part', { headers: { range: 'bytes=3-4' } })
    assert.deepEqual([within.status, within.text, within.headers['content-range']], [206, '34', 'bytes 3-4/10'])
    assert.equal(origin.seen('/part').length, 1)
  })

  await t.test('a cold range of an origin that ignores ranges is cut here, and the whole kept', async () => {
    origin.on('/ignores', say({ ...fresh, 'content-length': '10' }, digits))
    const got = await site.get('/ignores', { headers: { range: 'bytes=2-5' } })
    assert.deepEqual([got.status, got.text], [206, '2345'])
    assert.equal((await site.get('/ignores')).text, digits)
    assert.equal(origin.seen('/ignores').length, 1)
  })

  await t.test('Vary splits, and a flood of variants harms nobody else', async () => {
    origin.on('/vary', (asked, answer) => {
      answer.writeHead(200, { ...fresh, vary: 'X-Kind' }).end(String(asked.headers['x-kind']))
    })
    for (const round of [1, 2])
      for (const kind of ['a', 'b'])
        assert.equal((await site.get('/vary', { headers: { 'x-kind': kind } })).text, kind, `round ${round}`)
    assert.equal(origin.seen('/vary').length, 2)
    for (let kind = 0; kind < 300; kind++) await site.get('/vary', { headers: { 'x-kind': `k${kind}` } })
    assert.equal((await site.get('/vary', { headers: { 'x-kind': 'k299' } })).headers['cf-cache-status'], 'HIT')
    assert.equal((await site.get('/vary', { headers: { 'x-kind': 'a' } })).headers['cf-cache-status'], 'MISS')
    assert.equal((await site.get('/whole')).headers['cf-cache-status'], 'HIT')
  })

  await t.test('spellings of Accept-Encoding are one object; the origin sees the spelling of the key', async () => {
    origin.on('/coded', (asked, answer) => {
      answer.writeHead(200, { ...fresh, vary: 'accept-encoding' }).end(String(asked.headers['accept-encoding']))
    })
    const spellings = ['gzip, br', 'br;q=1.0, gzip;q=0.8, identity', 'GZIP,BR,deflate', 'gzip, zstd;q=0, br']
    for (const spelling of spellings)
      assert.equal((await site.get('/coded', { headers: { 'accept-encoding': spelling } })).text, 'br, gzip', spelling)
    assert.equal((await site.get('/coded', { headers: { 'accept-encoding': 'gzip' } })).text, 'gzip')
    assert.equal(origin.seen('/coded').length, 2)
  })

  await t.test('an unsafe method that succeeds invalidates, also what was in flight', async () => {
    origin.on('/thing', (asked, answer, count) => {
      if (asked.method === 'GET') answer.writeHead(200, fresh).end(`v${count}`)
      else answer.writeHead(count > 3 ? 204 : 500).end()
    })
    await site.get('/thing')
    assert.equal((await site.get('/thing', { method: 'POST', body: 'x' })).status, 500)
    assert.equal((await site.get('/thing')).text, 'v1')
    assert.equal((await site.get('/thing', { method: 'PUT', body: 'x' })).status, 500)
    assert.equal((await site.get('/thing', { method: 'DELETE' })).status, 204)
    assert.equal((await site.get('/thing')).text, 'v5')
  })

  await t.test('the debug headers tell what happened', async () => {
    origin.on('/debug', say({ ...fresh, 'surrogate-key': 'one two', 'cache-tag': 'three', 'x-cache': 'theirs' }))
    const first = (await site.get('/debug')).headers
    assert.deepEqual([first['x-cache'], first['x-cache-hits'], first['cf-cache-status']], ['MISS', '0', 'MISS'])
    assert.equal(first.via, '1.1 rimward')
    assert.match(String(first['cache-status']), /^rimward; fwd=uri-miss; fwd-status=200; ttl=(59|60); stored$/)
    assert.deepEqual([first['surrogate-key'], first['cache-tag'], first['surrogate-control']], Array(3).fill(undefined))
    const hit = (await site.get('/debug')).headers
    assert.deepEqual([hit['x-cache'], hit['x-cache-hits'], hit['cf-cache-status']], ['HIT', '1', 'HIT'])
    assert.match(String(hit.age), /^\d+$/)
    assert.equal((await site.get('/debug')).headers['x-cache-hits'], '2')
    const debugged = (await site.get('/debug', { headers: { 'fastly-debug': '1' } })).headers
    assert.deepEqual([debugged['surrogate-key'], debugged['cache-tag']], ['one two', 'three'])
    origin.on('/dynamic', say({ 'cache-control': 'no-store' }))
    const dynamic = (await site.get('/dynamic')).headers
    assert.equal(dynamic['cf-cache-status'], 'DYNAMIC')
    assert.match(String(dynamic['cache-status']), /detail=no-store$/)
  })
})
