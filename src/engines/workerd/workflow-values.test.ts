import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeJson, showValue } from '#/core/workflow-values.ts'
import { backoffMs, durationMs, planStep, toldError } from './inside/workflow-steps.worker.ts'
import { decodeValue, encodeValue } from './inside/workflow-values.worker.ts'

const values: readonly [what: string, value: unknown, shown: unknown][] = [
  ['nothing', undefined, undefined],
  ['null', null, null],
  ['text', 'a "b"\n', 'a "b"\n'],
  ['numbers', [1, -0, Number.NaN, Number.POSITIVE_INFINITY], [1, 0, null, null]],
  ['a bigint', 12n, '12'],
  ['a date', new Date(5), '1970-01-01T00:00:00.005Z'],
  ['no date', new Date(Number.NaN), null],
  ['an expression', /a\/b/gi, '/a\\/b/gi'],
  ['a map of sets', new Map([[{ a: 1 }, new Set(['b'])]]), [[{ a: 1 }, ['b']]]],
  ['bytes', new Uint8Array([0, 255]), '[Uint8Array(2 bytes)]'],
  ['a part of bytes', new Uint8Array([0, 1, 2, 3]).subarray(1, 3), '[Uint8Array(2 bytes)]'],
  [
    'other views',
    [new Int16Array([-2]), new DataView(new ArrayBuffer(3))],
    ['[Int16Array(2 bytes)]', '[DataView(3 bytes)]'],
  ],
  ['a buffer', new Uint8Array([7]).buffer, '[ArrayBuffer(1 bytes)]'],
  ['keys that are marks', { $: 'date', v: 1 }, { $: 'date', v: 1 }],
  ['holes', { a: [undefined, { b: undefined }] }, { a: [undefined, { b: undefined }] }],
]

for (const [what, value, shown] of values)
  test(`${what}: kept, read again and shown`, () => {
    const kept = encodeValue(value)
    assert.deepEqual(decodeValue(kept), value)
    assert.deepEqual(showValue(kept), shown)
  })

test('what occurs twice, or in itself, does so again', () => {
  const twice = { a: 1 }
  const ring: Record<string, unknown> = { twice: [twice, twice], map: new Map() }
  ring.self = ring
  const read = decodeValue(encodeValue(ring)) as { twice: unknown[]; self: unknown }
  assert.equal(read.self, read)
  assert.equal(read.twice[0], read.twice[1])
  assert.equal((showValue(encodeValue(ring)) as { self: unknown }).self, '[Circular]')
})

test('a key that would be the prototype is a key', () => {
  const value = JSON.parse('{"__proto__":{"a":1}}')
  const read = decodeValue(encodeValue(value)) as object
  assert.equal(Object.getPrototypeOf(read), Object.prototype)
  assert.deepEqual(Object.keys(read), ['__proto__'])
  assert.deepEqual(Object.keys(decodeValue(encodeJson(value)) as object), ['__proto__'])
})

test('what cannot be kept is refused', () => {
  for (const value of [() => 1, Symbol('a'), new ReadableStream(), { deep: [new (class Own {})()] }])
    assert.throws(() => encodeValue(value), { name: 'DataCloneError' })
})

test('JSON of the API is what the program gets', () => {
  for (const value of [1, 'a', null, { $: 'ref', id: 1, deep: [{ $: 2 }] }])
    assert.deepEqual(decodeValue(encodeJson(value)), value)
})

test('durations and backoffs', () => {
  const durations: [given: unknown, ms: number][] = [
    [5, 5],
    ['1 second', 1000],
    ['2 minutes', 120_000],
    ['1.5 hours', 5_400_000],
    ['3 days', 259_200_000],
    ['1 week', 604_800_000],
    ['10', 10],
    ['soon', Number.NaN],
    ['3 moons', Number.NaN],
    [null, Number.NaN],
  ]
  for (const [given, ms] of durations) assert.equal(durationMs(given), ms, String(given))
  const delays = (['constant', 'linear', 'exponential'] as const).map((kind) =>
    [1, 2, 3].map((attempt) => backoffMs(kind, 10, attempt)),
  )
  assert.deepEqual(delays, [
    [10, 10, 10],
    [10, 20, 30],
    [10, 20, 40],
  ])
})

test('configurations of steps are read strictly', () => {
  const { limit, delay, backoff, timeoutMs } = planStep('a')
  assert.deepEqual([limit, delay, backoff, timeoutMs], [5, 1000, 'exponential', 600_000])
  const bad = [
    { retries: { limit: 1 } },
    { retries: { limit: -1, delay: 1 } },
    { retries: { limit: 1, delay: 'x' } },
    { retries: { limit: 1, delay: 1, backoff: 'none' } },
    { timeout: 0 },
    { timeout: 'x' },
    { other: 1 },
    { sensitive: 'input' },
  ]
  for (const config of bad)
    assert.throws(() => planStep('a', config), { name: 'WorkflowFatalError' }, JSON.stringify(config))
})

test('errors that are final keep their words', () => {
  assert.deepEqual(toldError(new Error('NonRetryableError: no more')), {
    name: 'NonRetryableError',
    message: 'no more',
  })
  assert.deepEqual(toldError(new TypeError('x')), { name: 'TypeError', message: 'x' })
  assert.deepEqual(toldError('x'), { name: 'Error', message: 'x' })
})
