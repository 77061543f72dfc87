import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decideRange, decideRanges } from './range.ts'

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

test('several ranges of ten thousand bytes', () => {
  const sixteen = Array.from({ length: 16 }, (_, index) => `${index * 600}-${index * 600}`)
  const table: [string, string][] = [
    ['bytes=0-9,1000-1009', '0-9 1000-1009'],
    ['bytes=1000-1009,0-9,-5', '1000-1009 0-9 9995-9999'],
    ['bytes=0-9,5-19,1000-1009', '0-19 1000-1009'],
    ['bytes=0-9,10-19', '0-19'],
    ['bytes=0-9,200-209', '0-209'],
    ['bytes=0-9,20000-', '0-9'],
    ['bytes=20000-,30000-', 'unsatisfiable'],
    ['bytes=0-9,x', 'malformed'],
    ['bytes=0-9,1000-999', 'malformed'],
    ['bytes=0-5000,5500-', 'several'],
    ['bytes=0-,0-,0-', '0-9999'],
    [`bytes=${sixteen}`, sixteen.join(' ')],
    [`bytes=${sixteen},9990-`, 'several'],
  ]
  for (const [field, expected] of table) {
    const got = decideRanges(field, 10_000)
    const parts = got.kind === 'parts' ? got.parts : got.kind === 'part' ? [got] : undefined
    const shown =
      parts?.map(({ start, end }) => `${start}-${end}`).join(' ') ?? (got.kind === 'whole' ? got.why : got.kind)
    assert.equal(shown, expected, field)
  }
})
