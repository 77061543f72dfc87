import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Trace } from '#/core/traces.ts'
import { parseTailFilters, passesFilters } from './tail-filters.ts'

const trace: Trace = {
  scriptName: 'hello',
  scriptVersion: { id: 'v1' },
  outcome: 'ok',
  eventTimestamp: 1,
  event: {
    request: { url: 'http://x/', method: 'GET', headers: { 'X-Kind': 'blue', 'cf-connecting-ip': '10.0.0.1' }, cf: {} },
    response: { status: 200 },
  },
  logs: [{ message: ['found me', { deep: 'inside' }], level: 'log', timestamp: 1 }],
  exceptions: [{ name: 'Error', message: 'broken', timestamp: 1 }],
}

test('each filter lets the right traces through', () => {
  const table: [unknown[], boolean][] = [
    [[], true],
    [[{ sampling_rate: 0.6 }], true],
    [[{ sampling_rate: 0.4 }], false],
    [[{ outcome: ['ok', 'canceled'] }], true],
    [[{ outcome: ['exception'] }], false],
    [[{ method: ['get'] }], true],
    [[{ method: ['POST'] }], false],
    [[{ header: { key: 'x-kind' } }], true],
    [[{ header: { key: 'x-kind', query: 'blue' } }], true],
    [[{ header: { key: 'x-kind', query: 'red' } }], false],
    [[{ header: { key: 'x-other' } }], false],
    [[{ client_ip: ['10.0.0.1'] }], true],
    [[{ client_ip: ['self'] }], true],
    [[{ client_ip: ['10.0.0.2'] }], false],
    [[{ query: 'found' }], true],
    [[{ query: 'inside' }], true],
    [[{ query: 'broken' }], true],
    [[{ query: 'absent' }], false],
    [[{ scriptVersion: 'v1' }], true],
    [[{ scriptVersion: 'v2' }], false],
    [[{ outcome: ['ok'] }, { method: ['POST'] }], false],
  ]
  for (const [filters, expected] of table) {
    const view = { self: '10.0.0.1', random: () => 0.5 }
    assert.equal(passesFilters(parseTailFilters({ filters }), trace, view), expected, JSON.stringify(filters))
  }
  const scheduled = { ...trace, event: { cron: '* * * * *', scheduledTime: 1 } }
  assert.equal(passesFilters([{ method: ['GET'] }], scheduled, { self: '', random: () => 0 }), false)
})

test('filters that are not known are refused by name', () => {
  const table: [unknown, RegExp][] = [
    [{ filters: [{ colour: 'blue' }] }, /not supported: \{"colour":"blue"\}/],
    [{ filters: [{ sampling_rate: 2 }] }, /not supported: \{"sampling_rate":2\}/],
    [{ filters: 'all' }, /cannot be read/],
    [{ filtres: [] }, /filtres/],
  ]
  for (const [body, message] of table)
    assert.throws(() => parseTailFilters(body), { status: 400, code: 10001, message })
  assert.deepEqual(parseTailFilters(null), [])
})
