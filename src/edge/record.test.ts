import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { AsnResponse, CityResponse, CountryResponse } from 'mmdb-lib'
import { defaultLimits } from '#/core/limits.ts'
import { headerValue } from '#/http/header-list.ts'
import { rawExchange, startEdge } from './edge.fixture.ts'
import { createLocate, merge } from './locate.ts'
import { createLog, networkOf, redactQuery } from './log.ts'
import { formatLine, type LogLine } from './log-line.ts'
import { createMetrics } from './metrics.ts'
import { createRequestTraces, parseTraceparent } from './request-traces.ts'

const aLine = (change: Partial<LogLine> = {}) =>
  ({
    ...{ time: '2026-11-23T10:00:00.000Z', id: '00000000aaaaaaaa', pop: 'fra', client: '192.0.2.77', method: 'GET' },
    ...{ scheme: 'http', host: 'a.test', path: '/a?token=x&y', httpVersion: '1.1', status: 200 },
    ...{ bytesIn: 0, bytesOut: 5, durationMs: 0.125, ...change },
  }) as LogLine

test('a line is what JSON.stringify would write', () => {
  const texts = ['', ' ', '"', '\\', 'a"b\\c', '\u0000\u001f\u007f', 'é', '日本', '\ud800', '/a?q=%22', '[x]^`{|}~!#']
  for (const text of texts)
    for (const change of [
      { path: text, host: text, client: text },
      { pop: text, site: text, program: text, deployment: text, country: 'DE', cache: 'hit', start: 'cold' },
      { error: 'internal', detail: text, cause: text },
    ])
      assert.deepEqual(JSON.parse(formatLine(aLine(change))), JSON.parse(JSON.stringify(aLine(change))), text)
  assert.equal(formatLine(aLine()), `${JSON.stringify(aLine())}\n`)
})

test('what is redacted is not in the line', () => {
  assert.equal(redactQuery('/a?token=secret&page=2&flag', 'names'), '/a?token=*&page=*&flag')
  assert.equal(redactQuery('/a?token=secret', 'none'), '/a')
  assert.equal(networkOf('192.0.2.77'), '192.0.2.0/24')
  assert.equal(networkOf('2001:db8:1:2::3'), '2001:db8:1::/48')
  const lines: string[] = []
  const to = { write: (text: string) => void lines.push(text) }
  createLog({ to, limits: defaultLimits, address: 'network' }).exchange(aLine())
  assert.deepEqual(JSON.parse(lines[0]!), aLine({ path: '/a?token=*&y', client: '192.0.2.0/24' }))
})

test('sampling keeps errors', () => {
  const lines: string[] = []
  const log = createLog({ to: { write: (text: string) => void lines.push(text) }, limits: defaultLimits, sample: 0 })
  log.exchange(aLine())
  log.exchange(aLine({ error: 'internal' }))
  assert.equal(lines.length, 1)
})

test('a log file rotates within its bounds, and every line is there after close', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rimward-log-'))
  const limits = { ...defaultLimits, logFileBytes: 100_000, logFiles: 3 }
  const log = createLog({ to: { file: join(folder, 'access.log') }, limits })
  for (let round = 0; round < 5; round++) {
    for (let index = 0; index < 500; index++) log.exchange(aLine())
    await log.flush()
  }
  await log.close()
  const files = readdirSync(folder)
  assert.ok(files.length <= 3, files.join())
  for (const file of files)
    for (const text of readFileSync(join(folder, file), 'utf8').split('\n').filter(Boolean)) JSON.parse(text)
})

test('metrics: sites up to the cap have series of their own', async () => {
  const metrics = createMetrics({ limits: { ...defaultLimits, metricSites: 2 }, clock: Date.now })
  const counts = { status: 200, source: undefined, durationMs: 3, bytesIn: 1, bytesOut: 2 }
  for (const site of ['a', 'b', 'c', 'd', undefined]) metrics.exchange({ ...counts, site })
  metrics.exchange({ ...counts, site: 'a', status: 500, source: 'program' })
  const text = await metrics.registry.metrics()
  assert.match(text, /rimward_requests_total\{site="a",status_class="2xx",outcome="ok"\} 1/)
  assert.match(text, /rimward_requests_total\{site="a",status_class="5xx",outcome="program"\} 1/)
  assert.match(text, /rimward_requests_total\{site="other",status_class="2xx",outcome="ok"\} 2/)
  assert.match(text, /rimward_request_duration_seconds_bucket\{site="a",le="0.005"\} 2/)
  assert.match(text, /rimward_request_duration_seconds_count\{site="a"\} 2/)
  assert.doesNotMatch(text, /site="c"/)
})

test('countries come from the database', async () => {
  const locate = await createLocate({ limit: 1 })
  assert.deepEqual(locate('8.8.8.8'), { country: 'US' })
  assert.deepEqual(locate('2001:4860:4860::8888'), { country: 'US' })
  assert.equal(locate('127.0.0.1'), undefined)
})

test('databases of the operator say more than the country', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'geo-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const city = {
    country: { iso_code: 'NL' },
    city: { names: { en: 'Utrecht' } },
    subdivisions: [{ iso_code: 'UT' }],
    postal: { code: '3511' },
    location: { latitude: 52.1, longitude: 5.1, time_zone: 'Europe/Amsterdam' },
  } as unknown as CityResponse
  const network = { autonomous_system_number: 64_500, autonomous_system_organization: 'Example' } as AsnResponse
  assert.deepEqual(merge({ country_code: 'DE' } as CountryResponse, city, network), {
    country: 'NL',
    asn: 64_500,
    asOrganization: 'Example',
    city: 'Utrecht',
    region: 'UT',
    postalCode: '3511',
    latitude: 52.1,
    longitude: 5.1,
    timezone: 'Europe/Amsterdam',
  })

  const shipped = '@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb'
  copyFileSync(createRequire(import.meta.url).resolve(shipped), join(folder, 'city.mmdb'))
  assert.equal((await createLocate({ limit: 1, folder }))('8.8.8.8')?.country, 'US')
  writeFileSync(join(folder, 'asn.mmdb'), 'not a database')
  await assert.rejects(createLocate({ limit: 1, folder }))
})

test('spans reach a collector, and the trace goes on to the program', async (t) => {
  const bodies: string[] = []
  const collector = createServer((request, answer) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      bodies.push(`${request.url} ${body}`)
      answer.setHeader('content-type', 'application/json').end('{}')
    })
  })
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
  t.after(() => collector.close())
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`
  const traces = await createRequestTraces({ endpoint, pop: { id: 'fra', country: 'DE' } })
  const { port, seen, logged } = await startEdge(t, { options: { traces } })
  const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  await rawExchange(
    port,
    `GET /a?secret=1 HTTP/1.1\r\nHost: hello.localhost\r\ntraceparent: ${parent}\r\nConnection: close\r\n\r\n`,
  )
  await logged(1)
  const passed = parseTraceparent(headerValue(seen[0]!.headers, 'traceparent'))
  assert.equal(passed?.traceId, '0af7651916cd43dd8448eb211c80319c')
  assert.notEqual(passed?.spanId, 'b7ad6b7169203331')
  await traces.close()
  assert.match(bodies[0]!, /^\/v1\/traces /)
  assert.match(bodies.join(), /rimward\.site/)
  assert.doesNotMatch(bodies.join(), /secret/)
})

test('a traceparent that does not parse is as if absent', () => {
  for (const value of [
    undefined,
    '',
    'x',
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `ff-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  ])
    assert.equal(parseTraceparent(value), undefined)
})
