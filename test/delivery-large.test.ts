/** Large objects: ranges of them neither wait for nor store the whole; what is sent is what the origin has. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gate } from './support/delivery.ts'
import { fieldOf, openCache, textOf } from './support/shared-cache.ts'

const whole = Array.from({ length: 100 }, (_, index) => String(index).padStart(10, '.')).join('')
const limits = { cacheSegmentBytes: 64, cacheSegmentFromBytes: 256 }

async function openLarge(
  t: Parameters<typeof openCache>[0],
  more: Partial<typeof limits & { cacheObjectBytes: number }> = {},
) {
  const opened = await openCache(t, { ...limits, ...more })
  let version = '"one"'
  opened.origin.on('/film', (asked, answer) => {
    const common = { 'cache-control': 'max-age=60', etag: version, 'accept-ranges': 'bytes' }
    const range = /^bytes=(\d+)-(\d*)$/.exec(asked.headers.range ?? '')
    const matches = asked.headers['if-range'] === undefined || asked.headers['if-range'] === version
    if (range === null || !matches)
      return void answer.writeHead(200, { ...common, 'content-length': whole.length }).end(whole)
    const start = Number(range[1])
    const end = range[2] === '' ? whole.length - 1 : Math.min(Number(range[2]), whole.length - 1)
    answer.writeHead(206, { ...common, 'content-range': `bytes ${start}-${end}/${whole.length}` })
    answer.end(whole.slice(start, end + 1))
  })
  return {
    ...opened,
    change: () => {
      version = '"two"'
    },
    ranges: () => opened.origin.seen('/film').map(({ headers }) => headers.range),
  }
}

const range = (text: string) => ({ headers: ['range', text] })

test('after the first range the rest is fetched and kept in segments', async (t) => {
  const { fetch, ranges } = await openLarge(t)
  assert.equal(await textOf(await fetch('/film', range('bytes=10-19'))), whole.slice(10, 20))
  const rows: [string, number, number][] = [
    ['bytes=100-299', 100, 299],
    ['bytes=130-140', 130, 140],
    ['bytes=-70', 930, 999],
    ['bytes=990-', 990, 999],
    ['bytes=0-', 0, 999],
  ]
  for (const [text, start, end] of rows) {
    const answer = await fetch('/film', range(text))
    assert.deepEqual([answer.status, fieldOf(answer, 'content-range')], [206, `bytes ${start}-${end}/1000`], text)
    assert.equal(fieldOf(answer, 'content-length'), String(end - start + 1))
    assert.equal(await textOf(answer), whole.slice(start, end + 1), text)
  }
  assert.equal(new Set(ranges()).size, ranges().length, 'no range was fetched twice')
  const answer = await fetch('/film')
  assert.deepEqual([answer.status, fieldOf(answer, 'content-length')], [200, '1000'])
  assert.equal(await textOf(answer), whole)
  assert.equal(ranges().length, 17)
  assert.equal(await textOf(await fetch('/film', { headers: ['if-none-match', '"one"'] })), '')
  assert.equal((await fetch('/film', { method: 'HEAD' })).status, 200)
  assert.equal((await fetch('/film', range('bytes=1000-'))).status, 416)
  assert.equal(ranges().length, 17)
})

test('a file too large to keep is in segments from the second request on', async (t) => {
  const { fetch, ranges, store } = await openLarge(t, { cacheObjectBytes: 512 })
  assert.equal(await textOf(await fetch('/film')), whole)
  assert.equal(store.size.entries, 0)
  assert.equal(await textOf(await fetch('/film')), whole)
  assert.equal(await textOf(await fetch('/film')), whole)
  assert.equal(ranges().length, 17)
})

test('a file that changes is never mixed', async (t) => {
  const { fetch, change, skip, ranges } = await openLarge(t)
  await textOf(await fetch('/film', range('bytes=0-9')))
  await textOf(await fetch('/film', range('bytes=0-200')))
  change()
  const mixed = await fetch('/film', range('bytes=0-999'))
  await assert.rejects(textOf(mixed), { code: 'origin_failed' })
  assert.equal(fieldOf(await fetch('/film', range('bytes=300-310')), 'etag'), '"two"')
  skip(61_000)
  assert.equal(fieldOf(await fetch('/film', range('bytes=0-9')), 'etag'), '"two"')
  assert.ok(ranges().length < 20)
})

test('a purge takes every segment', async (t) => {
  const { fetch, purge, ranges } = await openLarge(t)
  await textOf(await fetch('/film', range('bytes=0-9')))
  await textOf(await fetch('/film', range('bytes=0-999')))
  const before = ranges().length
  await purge({ kind: 'url', url: 'http://shop.localhost/film' })
  await textOf(await fetch('/film', range('bytes=0-999')))
  assert.equal(ranges().length, before + 16)
})

test('a slow reader holds the origin back: what arrives is not piled up', async (t) => {
  const { origin, fetch } = await openCache(t, { cacheFollowBytes: 256 * 1024, cacheObjectBytes: 1024 * 1024 })
  const closed = gate()
  let sent = 0
  origin.on('/flood', (_asked, answer) => {
    const chunk = Buffer.alloc(64 * 1024)
    answer.writeHead(200, { 'cache-control': 'max-age=60' })
    answer.on('close', closed.open)
    const pump = () => {
      while (!answer.destroyed) {
        sent += chunk.length
        if (!answer.write(chunk)) return void answer.once('drain', pump)
      }
    }
    pump()
  })
  const answer = await fetch('/flood')
  const reader = (answer.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  await reader.next()
  let before = -1
  while (before !== sent) {
    before = sent
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  assert.ok(sent < 32 * 1024 * 1024, `${sent} bytes were taken from the origin`)
  await reader.return?.()
  await closed.opened
})

test('a HEAD does not fetch what is too large to keep', async (t) => {
  const { origin, fetch } = await openCache(t, { cacheObjectBytes: 1024, cacheFollowBytes: 1024 })
  const closed = gate()
  origin.on('/huge', (_asked, answer) => {
    answer.on('close', closed.open)
    answer.writeHead(200, { 'cache-control': 'max-age=60', 'content-length': 1e9 })
    answer.write(Buffer.alloc(64 * 1024))
  })
  const answer = await fetch('/huge', { method: 'HEAD' })
  assert.deepEqual([answer.status, fieldOf(answer, 'content-length')], [200, '1000000000'])
  await closed.opened
})

test('several ranges of what lies in segments', async (t) => {
  const film = whole.repeat(10)
  const { origin, fetch } = await openCache(t, { cacheSegmentBytes: 1000, cacheSegmentFromBytes: 2000 })
  const common = { 'cache-control': 'max-age=60', etag: '"one"', 'accept-ranges': 'bytes' }
  origin.on('/long', (asked, answer) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(asked.headers.range ?? '')!
    answer.writeHead(206, { ...common, 'content-range': `bytes ${from}-${to}/${film.length}` })
    answer.end(film.slice(Number(from), Number(to) + 1))
  })
  await textOf(await fetch('/long', range('bytes=0-9')))
  const answer = await fetch('/long', range('bytes=8000-8009,990-1009'))
  assert.equal(answer.status, 206)
  const text = await textOf(answer)
  assert.equal(fieldOf(answer, 'content-length'), String(text.length))
  const [, one, two] = text.split(/\r\nContent-Range: bytes [\d-]+\/10000\r\n\r\n/)
  assert.deepEqual([one!.slice(0, 10), two!.slice(0, 20)], [film.slice(8000, 8010), film.slice(990, 1010)])
  // The first range, then a segment for each place that was asked for.
  const asked = origin.seen('/long').map(({ headers }) => headers.range)
  assert.deepEqual(asked, ['bytes=0-9', 'bytes=8000-8999', 'bytes=0-999', 'bytes=1000-1999'])
})
