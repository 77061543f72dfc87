import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeRows, encodeRows, type Row } from './operation.ts'
import { runsOf } from './push.ts'
import { createSeen } from './seen.ts'
import { countLacking, covers, mayHold, scopeOf, vectorFor } from './vector.ts'

test('what overtook a gap counts once the gap is filled', () => {
  const seen = createSeen({ '': { a: 3 } })
  const adds: [from: number, to: number, reaches: boolean, seq: number][] = [
    [6, 7, false, 3],
    [9, 9, false, 3],
    [5, 5, false, 3],
    [4, 4, true, 7],
    [2, 6, true, 7],
    [8, 8, true, 9],
    // What fills the gap may pass some of what waits, and join the rest.
    [11, 12, false, 9],
    [14, 15, false, 9],
    [10, 13, true, 15],
  ]
  for (const [from, to, reaches, seq] of adds) {
    assert.equal(seen.add('', 'a', from, to), reaches, `${from}-${to}`)
    assert.equal(seen.vector()['']!.a, seq, `${from}-${to}`)
  }
  assert.deepEqual(seen.takeChanged(), [['', 'a', 15]])
  assert.deepEqual(seen.takeChanged(), [])
  seen.add('', 'b', 5, 6)
  seen.raise({ '': { a: 1, b: 4 }, DE: { a: 2 } })
  assert.deepEqual(seen.vector(), { '': { a: 15, b: 6 }, DE: { a: 2 } })
})

test('a country is told of its own scopes only, and lacks nothing of others', () => {
  assert.equal(scopeOf(['FR', 'DE', 'FR']), 'DE,FR')
  assert.equal(scopeOf(undefined), '')
  assert.ok(mayHold('', 'US') && mayHold('DE,FR', 'FR') && !mayHold('DE,FR', 'US'))
  assert.ok(!mayHold(scopeOf([]), 'DE'), 'no country is not every country')
  const vector = { '': { a: 5 }, 'DE,FR': { a: 7, b: 2 } }
  assert.deepEqual(vectorFor(vector, 'US'), { '': { a: 5 } })
  assert.deepEqual(vectorFor(vector, 'FR'), vector)
  assert.equal(countLacking({ '': { a: 3 } }, vector, 'US'), 2)
  assert.equal(countLacking({ '': { a: 3 } }, vector, 'DE'), 11)
  assert.ok(covers({ '': { a: 5 } }, vector, 'US') && !covers({ '': { a: 5 } }, vector, 'DE'))
})

const row = (scope: string, seq: number, bytes = 1): Row => ({
  bucket: 'b',
  key: `k${seq}`,
  value: new Uint8Array(bytes).fill(seq),
  time: 1_800_000_000_000_000 + seq,
  writer: 'w',
  scope,
  origin: 'a',
  seq,
})

test('rows are pushed in runs without gaps, of one scope, of bounded size', () => {
  const rows = [row('', 2), row('DE', 1), row('', 1), row('', 4), row('', 5, 900), row('', 6, 900)]
  const runs = runsOf(rows, 1500).map(({ scope, from, to, rows: { length } }) => `${scope} ${from}-${to} ${length}`)
  assert.deepEqual(runs, [' 1-2 2', ' 4-5 2', ' 6-6 1', 'DE 1-1 1'])
})

test('rows come back as they were; damaged ones are refused', () => {
  const rows: Row[] = [
    row('', 1, 0),
    { ...row('DE', 2, 300), expiresAt: 1_900_000_000_000, blob: 'ab'.repeat(32), key: 'ключ/🔑\0' },
  ]
  const { value: _, ...deleted } = row('', 3)
  const bytes = Buffer.from(encodeRows([...rows, deleted]))
  assert.deepEqual(
    decodeRows(bytes).map((one) => (one.value ? { ...one, value: new Uint8Array(one.value) } : one)),
    [...rows, deleted],
  )
  for (const broken of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.of(1)]), Buffer.of(0, 0, 0, 9, 1)])
    assert.throws(() => decodeRows(broken))
})
