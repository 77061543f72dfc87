import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decidePreconditions, rangeHolds } from './conditional.ts'

test('preconditions against "a"', () => {
  const table: [string, string | undefined, string | undefined, string][] = [
    ['GET', undefined, undefined, 'proceed'],
    ['GET', undefined, '"a"', 'not-modified'],
    ['HEAD', undefined, 'W/"a"', 'not-modified'],
    ['GET', undefined, '"b", W/"a"', 'not-modified'],
    ['GET', undefined, '*', 'not-modified'],
    ['PUT', undefined, '*', 'failed'],
    ['GET', undefined, '"b"', 'proceed'],
    ['GET', undefined, 'a', 'proceed'],
    ['GET', '"a"', undefined, 'proceed'],
    ['GET', 'W/"a"', undefined, 'failed'],
    ['GET', '"b"', undefined, 'failed'],
    ['GET', '*', '"a"', 'not-modified'],
    ['GET', '"b"', '"a"', 'failed'],
  ]
  for (const [method, ifMatch, ifNoneMatch, expected] of table)
    assert.equal(decidePreconditions(method, { ifMatch, ifNoneMatch }, '"a"'), expected, `${ifMatch} ${ifNoneMatch}`)
})

test('If-Range takes only the strong tag', () => {
  assert.equal(rangeHolds(undefined, '"a"'), true)
  assert.equal(rangeHolds('"a"', '"a"'), true)
  assert.equal(rangeHolds('W/"a"', '"a"'), false)
  assert.equal(rangeHolds('Mon, 23 Nov 2026 00:00:00 GMT', '"a"'), false)
})
