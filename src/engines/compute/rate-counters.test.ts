import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { createRateCounters } from './rate-counters.ts'

function stage(entries = defaultLimits.computeRateEntries) {
  let now = 1_800_000_000_000
  const rates = createRateCounters({ limits: { ...defaultLimits, computeRateEntries: entries }, clock: () => now })
  return {
    rates,
    pass(ms: number) {
      now += ms
    },
  }
}

test('windows: what is older counts no more, the second at the edge by its part', () => {
  const { rates, pass } = stage()
  rates.increment('p', 'hits', 'x', 60)
  const steps: readonly [passed: number, rates: readonly number[], count10: number, count60: number][] = [
    [0, [60, 6, 1], 60, 60],
    [1_000, [60, 6, 1], 60, 60],
    [500, [30, 6, 1], 60, 60],
    [500, [0, 6, 1], 60, 60],
    [8_000, [0, 6, 1], 60, 60],
    [500, [0, 3, 1], 30, 60],
    [500, [0, 0, 1], 0, 60],
    [49_000, [0, 0, 1], 0, 60],
    [1_000, [0, 0, 0], 0, 0],
  ]
  let at = 0
  for (const [passed, expected, count10, count60] of steps) {
    pass(passed)
    at += passed
    const seen = [1, 10, 60].map((window) => rates.rate('p', 'hits', 'x', window))
    assert.deepEqual(seen, expected, `after ${at} ms`)
    assert.deepEqual([rates.count('p', 'hits', 'x', 10), rates.count('p', 'hits', 'x', 60)], [count10, count60])
  }
})

test('slots are used again after a minute', () => {
  const { rates, pass } = stage()
  for (let second = 0; second < 200; second++) {
    rates.increment('p', 'hits', 'x', 2)
    pass(1000)
  }
  assert.equal(rates.count('p', 'hits', 'x', 60), 120)
  pass(3_600_000)
  assert.equal(rates.count('p', 'hits', 'x', 60), 0)
})

test('programs do not see each other, names do not run together', () => {
  const { rates } = stage()
  rates.increment('p', 'a', 'b', 1)
  rates.increment('p', 'ab', '', 1)
  assert.deepEqual(
    [rates.count('q', 'a', 'b', 10), rates.count('p', 'a', '', 10), rates.count('p', 'a', 'b', 10)],
    [0, 0, 1],
  )
})

test('the least recently used entry goes first', () => {
  const { rates } = stage(2)
  rates.increment('p', 'a', '1', 1)
  rates.increment('p', 'a', '2', 1)
  rates.increment('p', 'a', '1', 1)
  rates.increment('p', 'a', '3', 1)
  assert.deepEqual(
    ['1', '2', '3'].map((entry) => rates.count('p', 'a', entry, 10)),
    [2, 0, 1],
  )
})

test('a count does not overflow', () => {
  const { rates } = stage()
  rates.increment('p', 'a', 'x', 0xffff_ffff)
  rates.increment('p', 'a', 'x', 0xffff_ffff)
  assert.equal(rates.count('p', 'a', 'x', 10), 0xffff_ffff)
})
