/** Counts of sites over time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { sumRows } from '#/core/site-stats.ts'
import { type CountedExchange, createSiteCounts } from './site-counts.ts'

const one: CountedExchange = {
  ...{ site: 'shop', status: 200, failed: false, bytesIn: 1, bytesOut: 10, httpVersion: '1.1' },
  ...{ tlsVersion: undefined, cache: undefined },
}
const all = { from: 0, to: 1e10 }

test('each exchange counts once in its second, minute, hour and day', () => {
  let now = 86_400_000 * 100
  const counts = createSiteCounts({ limits: defaultLimits, clock: () => now })
  for (let minute = 0; minute < 90; minute++, now += 60_000) {
    counts.count(one)
    counts.count({ ...one, status: 404, failed: true, httpVersion: '2', tlsVersion: 'TLSv1.3', cache: 'hit' })
  }
  const of = (by: 'second' | 'minute' | 'hour' | 'day') => counts.rows('shop', { by, ...all })
  const requests = (by: 'second' | 'minute' | 'hour' | 'day') => of(by).map(({ counters }) => counters.requests)
  assert.deepEqual([requests('hour'), requests('day')], [[120, 60], [180]])
  assert.deepEqual([requests('minute').length, requests('second').length], [90, 90])
  const { counters } = of('day')[0]!
  const { bytesIn, bytesOut, http2, tls, tls13, hits, misses, errors } = counters
  assert.deepEqual([bytesIn, bytesOut, http2, tls, tls13, hits, misses, errors], [180, 1_800, 90, 90, 90, 90, 0, 90])
  assert.deepEqual([counters['200'], counters['2xx'], counters['404'], counters['4xx']], [90, 90, 90, 90])
  assert.equal(counts.rows('shop', { by: 'hour', from: 8_640_000 + 3_600, to: 8_640_000 + 7_200 }).length, 1)
})

test('rows and sites are bounded; the oldest rows go', () => {
  let now = 0
  const limits = { statsSites: 1, statsSeconds: 2, statsMinutes: 2, statsHours: 2, statsDays: 2 }
  const counts = createSiteCounts({ limits, clock: () => now })
  for (let day = 0; day < 5; day++, now += 86_400_000) counts.count(one)
  counts.count({ ...one, site: 'other' })
  counts.count({ ...one, site: undefined })
  assert.deepEqual(
    counts.rows('shop', { by: 'day', ...all }).map(({ start }) => start),
    [3 * 86_400, 4 * 86_400],
  )
  assert.deepEqual(counts.rows('other', { by: 'day', ...all }), [])
})

test('rows of several places add up', () => {
  let now = 0
  const places = [0, 1].map(() => createSiteCounts({ limits: defaultLimits, clock: () => now }))
  for (const place of places) place.count(one)
  now = 60_000
  places[1]!.count(one)
  const rows = sumRows(places.map((place) => place.rows('shop', { by: 'minute', ...all })))
  assert.deepEqual(
    rows.map(({ start, counters }) => [start, counters.requests]),
    [
      [0, 2],
      [60, 1],
    ],
  )
})
