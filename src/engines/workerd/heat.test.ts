import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { cold, nextWarmth } from './heat.ts'

const limits = { ...defaultLimits, hotRate: 100, hotSeconds: 3, coolSeconds: 2 }

const rows: [string, number[], boolean][] = [
  ['a burst is not heat', [1000, 1000, 0, 1000, 1000], false],
  ['seconds in a row are', [100, 100, 100], true],
  ['a lull keeps it', [100, 100, 100, 0, 50], true],
  ['a slower pace keeps it', [100, 100, 100, 20, 20, 20, 20], true],
  ['silence ends it', [100, 100, 100, 0, 9], false],
]
for (const [what, counts, hot] of rows)
  test(what, () => {
    assert.equal(counts.reduce((warmth, count) => nextWarmth(warmth, count, limits), cold).hot, hot)
  })
