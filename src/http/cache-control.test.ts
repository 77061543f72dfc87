import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  parseRequestDirectives,
  parseResponseDirectives,
  parseTargetedDirectives,
  type RequestDirectives,
  type ResponseDirectives,
} from './cache-control.ts'

const rows: [string, Partial<ResponseDirectives>][] = [
  ['max-age=5', { maxAge: 5 }],
  ['MAX-AGE=5,S-MaxAge="7"', { maxAge: 5, sMaxage: 7 }],
  ['max-age=003600', { maxAge: 3600 }],
  ['max-age=99999999999', { maxAge: 2 ** 31 }],
  ['max-age=5, max-age=3', { maxAge: 3 }],
  ["max-age='5'", { maxAge: 0 }],
  ['max-age=-5', { maxAge: 0 }],
  ['max-age=5.0', { maxAge: 0 }],
  ['max-age=5 x', { maxAge: 0 }],
  ['max-age = 5', { maxAge: 0 }],
  ['max-age', { maxAge: 0 }],
  ['x="max-age=5, no-store", max-age=1', { maxAge: 1, noStore: false }],
  ['x="a\\"b, no-store", public', { noStore: false, public: true }],
  [',, ,no-store,', { noStore: true }],
  ['="x", no-store', { noStore: true }],
  ['no-cache', { noCache: true }],
  ['no-cache="A, b"', { noCache: ['a', 'b'] }],
  ['no-cache="a", no-cache', { noCache: true }],
  ['private="set-cookie"', { private: ['set-cookie'] }],
  ['stale-while-revalidate=3, stale-if-error=4', { staleWhileRevalidate: 3, staleIfError: 4 }],
  ['must-revalidate,proxy-revalidate,must-understand', { mustRevalidate: true, proxyRevalidate: true }],
]
for (const [field, expected] of rows)
  test(`Cache-Control: ${field}`, () => {
    const got = parseResponseDirectives(field)
    for (const [name, value] of Object.entries(expected))
      assert.deepEqual(got[name as keyof ResponseDirectives], value, name)
  })

const targeted: [string, Partial<ResponseDirectives> | undefined][] = [
  ['max-age=5, no-store', { maxAge: 5, noStore: true }],
  ['max-age=5;x=1;y, public', { maxAge: 5, public: true }],
  ['max-age=-5', { maxAge: 0 }],
  ['no-store=?0', { noStore: false }],
  ['private="a"', { private: ['a'] }],
  ['x=(1 "two" three);p, max-age=1', { maxAge: 1 }],
  ['x=:YWI=:, y=@1, z=tok/en, max-age=1', { maxAge: 1 }],
  ['', undefined],
  ['MAX-AGE=5', undefined],
  ['max-age="5"', undefined],
  ['max-age=5.5', undefined],
  ['max-age=5, &&&', undefined],
  ['max-age=5,', undefined],
  ['max-age=5 no-store', undefined],
  ['max-age=5;', undefined],
  ['x=(1', undefined],
]
for (const [field, expected] of targeted)
  test(`CDN-Cache-Control: ${field}`, () => {
    const got = parseTargetedDirectives(field)
    assert.equal(got === undefined, expected === undefined)
    for (const [name, value] of Object.entries(expected ?? {}))
      assert.deepEqual(got![name as keyof ResponseDirectives], value, name)
  })

const requests: [string | undefined, string | undefined, Partial<RequestDirectives>][] = [
  ['no-cache, max-age=0', undefined, { noCache: true, maxAge: 0 }],
  ['max-stale', undefined, { maxStale: Number.POSITIVE_INFINITY }],
  ['max-stale=5, min-fresh=2, only-if-cached', undefined, { maxStale: 5, minFresh: 2, onlyIfCached: true }],
  [undefined, 'x, no-cache', { noCache: true }],
  ['max-age=5', 'no-cache', { noCache: false }],
]
for (const [field, pragma, expected] of requests)
  test(`request: ${field}, Pragma: ${pragma}`, () => {
    const got = parseRequestDirectives(field, pragma)
    for (const [name, value] of Object.entries(expected))
      assert.equal(got[name as keyof RequestDirectives], value, name)
  })

test('no field makes reading slow', () => {
  const started = performance.now()
  for (const field of [
    `${'a="'.repeat(20_000)}`,
    ','.repeat(60_000),
    `x=${'\\"'.repeat(30_000)}`,
    '='.repeat(60_000),
  ]) {
    parseResponseDirectives(field)
    parseTargetedDirectives(field)
  }
  assert.ok(performance.now() - started < 1_000)
})
