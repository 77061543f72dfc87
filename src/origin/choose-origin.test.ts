import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Origin, OriginPool } from '#/core/origin.ts'
import { type Choice, chooseOrigins } from './choose-origin.ts'
import { addResult, isHealthy, startWindow } from './health-window.ts'

const origin = (name: string, weight = 100): Origin => ({ name, url: `http://${name}.example`, weight })
const weights = [origin('a', 100), origin('b', 200), origin('c', 700)]

function first(choice: Partial<Choice> & { pool: OriginPool }): string {
  const chosen = chooseOrigins({ isHealthy: () => true, random: Math.random, path: '/', client: '', ...choice })
  return chosen.kind === 'order' ? chosen.origins.map(({ name }) => name).join('') : chosen.why
}

/** Numbers that look random and are the same each time. */
function sequence(): () => number {
  let state = 1
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 4_294_967_296
  }
}

function shares(count: number, choose: (index: number) => string): Record<string, number> {
  const sums: Record<string, number> = {}
  for (let index = 0; index < count; index++) {
    const name = choose(index)[0]!
    sums[name] = (sums[name] ?? 0) + 1 / count
  }
  return sums
}

test('weights are shares, by chance and by hash', () => {
  const random = sequence()
  const cases = [
    shares(20_000, () => first({ pool: { origins: weights, choice: 'weighted-random' }, random })),
    shares(20_000, (index) => first({ pool: { origins: weights, choice: 'hash' }, path: `/articles/${index}?x` })),
    shares(20_000, (index) =>
      first({ pool: { origins: weights, choice: 'client-hash' }, client: `10.0.${index >> 8}.${index & 255}` }),
    ),
  ]
  for (const { a, b, c } of cases) {
    assert.ok(Math.abs(a! - 0.1) < 0.015, `a ${a}`)
    assert.ok(Math.abs(b! - 0.2) < 0.015, `b ${b}`)
    assert.ok(Math.abs(c! - 0.7) < 0.015, `c ${c}`)
  }
})

test('a hash is consistent: an origin that goes moves only its own share', () => {
  const pool: OriginPool = { origins: weights, choice: 'hash' }
  let moved = 0
  for (let index = 0; index < 2_000; index++) {
    const path = `/p/${index}`
    const before = first({ pool, path })
    assert.equal(first({ pool, path }), before)
    const after = first({ pool, path, isHealthy: ({ name }) => name !== 'b' })
    assert.equal(after, before.replace('b', ''), 'the others stay in their order')
    if (before[0] !== after[0]) moved++
  }
  assert.ok(moved > 300 && moved < 500, `${moved} of 2000 moved`)
})

test('fallback keeps the order; the quorum counts weights', () => {
  const healthy = (...names: string[]) => ({ isHealthy: ({ name }: Origin) => names.includes(name) })
  const fallback: OriginPool = { origins: weights, choice: 'fallback' }
  assert.equal(first({ pool: fallback }), 'abc')
  assert.equal(first({ pool: fallback, ...healthy('b', 'c') }), 'bc')
  assert.equal(first({ pool: fallback, ...healthy() }), 'none-healthy')
  const quorum: OriginPool = { ...fallback, quorum: 75 }
  assert.equal(first({ pool: quorum, ...healthy('a', 'b') }), 'below-quorum')
  assert.equal(first({ pool: quorum, ...healthy('a', 'c') }), 'ac')
  assert.equal(first({ pool: { origins: [origin('a')], choice: 'hash' }, ...healthy() }), 'none-healthy')
})

test('threshold, window, initial', () => {
  const check = {
    method: 'HEAD',
    path: '/',
    expectedStatus: 200,
    headers: {},
    timeoutMs: 1,
    intervalMs: 1,
    threshold: 3,
    window: 5,
    initial: 3,
  } as const
  let window = startWindow(check)
  const seen = [isHealthy(window, check)]
  for (const ok of [true, false, false, true, true, true, true]) {
    window = addResult(window, ok)
    seen.push(isHealthy(window, check))
  }
  assert.deepEqual(seen, [true, true, true, true, true, true, true, true])
  for (const ok of [false, false, false]) window = addResult(window, ok)
  assert.equal(isHealthy(window, check), false)
  for (const healthy of [false, false, true]) {
    window = addResult(window, true)
    assert.equal(isHealthy(window, check), healthy)
  }
  assert.equal(isHealthy(startWindow({ ...check, initial: 2 }), check), false)
})
