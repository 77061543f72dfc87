import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dialled } from './plan.ts'

test('of each two servers one dials the other, and each dials at least one', () => {
  for (const count of [3, 4, 5, 6, 7]) {
    const pairs: string[] = []
    for (let index = 0; index < count; index++) {
      const others = dialled(index, count)
      assert.ok(others.length > 0 && !others.includes(index), `${index} of ${count}`)
      pairs.push(...others.map((other) => [index, other].toSorted().join()))
    }
    assert.equal(pairs.length, (count * (count - 1)) / 2, `${count} servers`)
    assert.equal(new Set(pairs).size, pairs.length, `${count} servers`)
  }
  assert.deepEqual([dialled(0, 2), dialled(1, 2)], [[1], [0]])
})
