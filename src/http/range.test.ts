import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decideRange } from './range.ts'

test('ranges of ten bytes', () => {
  const table: [string | undefined, string][] = [
    [undefined, 'absent'],
    ['bytes=0-3', '0-3'],
    ['bytes=4-', '4-9'],
    ['bytes=-3', '7-9'],
    ['bytes=-30', '0-9'],
    ['bytes=0-99', '0-9'],
    ['Bytes = 9-9', '9-9'],
    ['bytes=9-9,', '9-9'],
    ['bytes=10-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=3-2', 'malformed'],
    ['bytes=-', 'malformed'],
    ['bytes=a-b', 'malformed'],
    ['bytes=', 'malformed'],
    ['nonsense', 'malformed'],
    ['lines=0-1', 'other-unit'],
    ['bytes=0-1,4-5', 'several'],
    ['bytes=99999999999999999999-', 'malformed'],
  ]
  for (const [field, expected] of table) {
    const range = decideRange(field, 10)
    const shown =
      range.kind === 'whole' ? range.why : range.kind === 'part' ? `${range.start}-${range.end}` : range.kind
    assert.equal(shown, expected, String(field))
  }
})

test('nothing of an empty representation can be asked for', () => {
  assert.equal(decideRange('bytes=0-', 0).kind, 'unsatisfiable')
  assert.equal(decideRange('bytes=-1', 0).kind, 'unsatisfiable')
})
