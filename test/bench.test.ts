/** The measuring itself is tested: a benchmark that counts wrongly is worse than none. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { openConnection } from '../bench/kept-connection.ts'
import { badAnswers, type LoadResult, load, readWrk } from '../bench/load.ts'
import { requestOnce } from '../bench/one-request.ts'
import { loaderWorkerd } from '../bench/peers/workerd.ts'
import { cpuSeconds, memoryOf, treeOf } from '../bench/processes.ts'
import { sourceOf } from '../bench/programs.ts'
import { responseLength } from '../bench/response-length.ts'
import { addedTime, badOf, waveMs } from '../bench/rows/delivery-misses.ts'
import { staleAfter } from '../bench/rows/delivery-purges.ts'
import { mergeFindings } from '../bench/rows/delivery-times.ts'
import { readH2load } from '../bench/rows/h2-load.ts'
import { median, quantile, show } from '../bench/statistics.ts'
import { busyTime } from '../bench/timing-proxy.ts'
import { putSection } from '../bench/write-page.ts'

test('our generator counts answers by status and broken connections', async (t) => {
  let count = 0
  const hosts = new Set<string>()
  const server = createServer((request, response) => {
    hosts.add(request.headers.host ?? '')
    count += 1
    if (count % 100 === 0) return void request.socket.destroy()
    response.statusCode = count % 10 === 0 ? 503 : 200
    response.write('in two ')
    response.end('chunks\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const order = {
    host: '127.0.0.1',
    port,
    authorities: ['a.localhost', 'b.localhost'],
    path: '/',
    connections: 4,
    seconds: 0.3,
  }
  const result = await load(order, 'own')
  assert.deepEqual([...hosts].sort(), ['a.localhost', 'b.localhost'])
  assert.equal(result.broken, Math.floor(count / 100))
  assert.equal(result.statuses['200']! + result.statuses['503']!, result.requests)
  assert.equal(result.requests + result.broken, count)
  assert.match(badAnswers(result)!, /^\d+ × 503$/)
  const good: LoadResult = { ...result, statuses: { 200: 5 }, broken: 0 }
  assert.equal(badAnswers(good), undefined)
  assert.equal(badAnswers({ ...good, broken: 2 }), '2 broken connections')
})

test("h2load's report and log are read", () => {
  const report = `
finished in 2.00s, 20000.00 req/s, 22.00MB/s
requests: 40000 total, 40010 started, 40000 done, 39990 succeeded, 10 failed, 3 errored, 1 timeout
status codes: 39980 2xx, 10 3xx, 0 4xx, 10 5xx
`
  const log = Array.from({ length: 100 }, (_, index) => `1795423858809784\t200\t${(index + 1) * 1000}\n`).join('')
  assert.deepEqual(readH2load(report, log), {
    requests: 40_000,
    seconds: 2,
    statuses: { '2xx/3xx': 39_990, other: 10 },
    broken: 4,
    p50Ms: 51,
    p99Ms: 100,
  })
  assert.equal(badAnswers(readH2load('nothing', '')), 'no answer')
})

test("wrk's report is read", () => {
  const text = `  Latency Distribution
     50%  800.00us
     99%    1.50ms
  18542 requests in 2.10s, 2.58MB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 7
`
  assert.deepEqual(readWrk(text), {
    requests: 18542,
    seconds: 2.1,
    statuses: { '2xx/3xx': 18535, other: 7 },
    broken: 4,
    p50Ms: 0.8,
    p99Ms: 1.5,
  })
})

test('the process tree, its time and its memory', async (t) => {
  const child = spawn('sh', ['-c', 'sleep 30 & while :; do :; done'])
  t.after(() => child.kill('SIGKILL'))
  await new Promise((resolve) => child.once('spawn', resolve))
  while (treeOf(child.pid!).length < 2 || cpuSeconds(child.pid!) < 0.05)
    await new Promise((resolve) => setImmediate(resolve))
  const [, sleep] = treeOf(child.pid!)
  t.after(() => process.kill(sleep!, 'SIGKILL'))
  const { processes, pssMiB } = memoryOf(child.pid!)
  assert.equal(processes, 2)
  assert.ok(pssMiB > 0 && pssMiB < 50)
})

test('numbers', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(quantile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.9), 10)
  assert.equal(median([]).toString(), 'NaN')
  assert.deepEqual([show(12345.6), show(1234567), show(5.04), show(Number.NaN)], ['12 346', '1 234 567', '5.0', '-'])
})

test('calls at the same time count once, and only up to the end', () => {
  const call = (from: number, to: number) => ({ method: 'GET', path: '/', from, to })
  assert.equal(busyTime([call(0, 10), call(5, 8), call(8, 12), call(20, 30)], 25), 17)
  assert.equal(busyTime([], 25), 0)
})

test('a section of the page is replaced, the rest stays', () => {
  const first = putSection('# Page\n', 'a', 'one')
  const second = putSection(putSection(first, 'b', 'two'), 'a', 'three')
  assert.equal(
    second,
    '# Page\n\n<!-- bench: a -->\nthree\n<!-- /bench: a -->\n\n<!-- bench: b -->\ntwo\n<!-- /bench: b -->\n',
  )
})

test('where an answer ends', () => {
  const rows: [string, number | undefined][] = [
    ['HTTP/1.1 200 OK\r\nContent-Len', undefined],
    ['HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc', undefined],
    ['HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcdHTTP/1.1', 42],
    ['HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\nHTTP', 40],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n', undefined],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n', 59],
  ]
  for (const [text, length] of rows) assert.equal(responseLength(text), length, text)
})

test('a kept connection times one exchange after the other, and says when it broke', async (t) => {
  const server = createServer((request, response) => {
    if (request.url === '/break') return void request.socket.destroy()
    request.pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const connection = await openConnection('127.0.0.1', port, 'a.localhost')
  t.after(() => connection.close())
  let before = 0
  for (const body of ['one', 'zwei', '']) {
    const { status, body: answer, ...times } = await connection.ask({ path: '/', method: 'POST', body })
    assert.deepEqual([status, answer.includes(body)], [200, true])
    assert.ok(before <= times.sentAt && times.sentAt < times.firstByteAt && times.firstByteAt <= times.doneAt)
    before = times.doneAt
  }
  await assert.rejects(connection.ask({ path: '/break' }))
  await assert.rejects(connection.ask({ path: '/' }))
})

test('the last stale answer of a purge, and those that must not be', () => {
  const purge = { version: 3, calledAt: 100, acknowledgedAt: 110 }
  const seen = (version: number, sentAt: number, firstByteAt: number) => ({ version, sentAt, firstByteAt })
  assert.deepEqual(staleAfter(purge, []), { lastMs: 0, afterAcknowledgement: 0 })
  assert.deepEqual(staleAfter(purge, [seen(3, 90, 95), seen(4, 105, 109)]), { lastMs: 0, afterAcknowledgement: 0 })
  assert.deepEqual(staleAfter(purge, [seen(3, 101, 104), seen(3, 109, 112), seen(4, 111, 130)]), {
    lastMs: 12,
    afterAcknowledgement: 0,
  })
  assert.deepEqual(staleAfter(purge, [seen(2, 111, 115), seen(3, 110.5, 120)]), { lastMs: 20, afterAcknowledgement: 2 })
})

test('a wave lasts from its first request to its last answer; what failed is said', () => {
  const one = (sentAt: number, doneAt: number, status = 200) => ({ status, body: '', sentAt, firstByteAt: 0, doneAt })
  assert.equal(waveMs([one(10, 30), one(12, 45), undefined]), 35)
  assert.equal(badOf('x', [one(1, 2)]), undefined)
  assert.equal(badOf('x', [one(1, 2), one(1, 2, 503), undefined]), 'x: 2 of 3 failed, the first with 503')
  assert.equal(badOf('x', [undefined]), 'x: 1 of 1 failed, the first with a broken connection')
  assert.deepEqual(addedTime([1, 2, 9], [3, 5, 10]), { p50: 3, p99: 1 })
})

test('findings of several caches make one line each', () => {
  const finding = (what: string, found: string) => ({ what, goal: '1', found })
  const merged = mergeFindings(
    new Map([
      ['a', [{ findings: [finding('x', 'a1')], failures: [] }]],
      ['b', [{ findings: [finding('y', 'b2'), finding('x', 'b1')], failures: [] }]],
    ]),
  )
  assert.deepEqual(merged, [
    ['x', '1', 'a1', 'b1'],
    ['y', '1', '', 'b2'],
  ])
})

test("workerd's loader answers for programs of each size, each a program of its own", async (t) => {
  assert.ok(Math.abs(sourceOf('100 KB').length - 100_000) < 1_000)
  const target = await loaderWorkerd.start()
  t.after(() => target.stop())
  for (const name of ['tiny-1', '100kb-1', '500kb-1']) {
    const { status, body } = await requestOnce({ ...target, authority: `${name}.localhost` })
    assert.deepEqual([status, body], [200, 'Hello World\n'], name)
  }
})
