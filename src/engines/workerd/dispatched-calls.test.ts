import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDispatchedCalls } from './dispatched-calls.ts'

const outbound = { program: 'out', parameters: { customer: 'Ann é' } }
const refused = { kind: 'refused', why: 'This fetch() belongs to no call of a dispatcher.' }

test('a ticket grants what its call was given, to its own program alone', () => {
  const calls = createDispatchedCalls({ dispatchedCounts: 2 })
  const ticket = calls.begin('n.ann', { outbound })
  assert.match(ticket, /^[\w-]+$/)
  assert.ok(!Buffer.from(ticket, 'base64url').includes('Ann'))
  assert.deepEqual(calls.leave('n.ann', ticket), { kind: 'granted', outbound })
  assert.deepEqual(calls.leave('n.bob', ticket), refused)
  assert.deepEqual(calls.leave('n.ann', calls.begin('n.ann', {})), { kind: 'granted' })
})

const ticket = createDispatchedCalls({ dispatchedCounts: 2 }).begin('n.ann', { outbound })
for (const [what, forged] of [
  ['nothing', ''],
  ['another text', 'x'.repeat(100)],
  ['one of another process', ticket],
] as const)
  test(`${what} is no ticket`, () => {
    assert.deepEqual(createDispatchedCalls({ dispatchedCounts: 2 }).leave('n.ann', forged), refused)
  })

test('a ticket that was changed or cut is none', () => {
  const calls = createDispatchedCalls({ dispatchedCounts: 2 })
  const bytes = Buffer.from(calls.begin('n.ann', {}), 'base64url')
  bytes[20]! ^= 1
  assert.deepEqual(calls.leave('n.ann', bytes.toString('base64url')), refused)
  assert.deepEqual(calls.leave('n.ann', calls.begin('n.ann', {}).slice(0, -4)), refused)
})

test('requests are counted by call, and counts are bounded', () => {
  const calls = createDispatchedCalls({ dispatchedCounts: 2 })
  const kinds = (ticket: string, times: number) =>
    Array.from({ length: times }, () => calls.leave('n.ann', ticket).kind)
  const first = calls.begin('n.ann', { subRequests: 2 })
  assert.deepEqual(kinds(first, 3), ['granted', 'granted', 'refused'])
  assert.deepEqual(calls.leave('n.ann', first), { kind: 'refused', why: 'Too many subrequests.' })
  assert.deepEqual(kinds(calls.begin('n.ann', { subRequests: 0 }), 1), ['refused'])
  for (let other = 0; other < 2; other++) kinds(calls.begin('n.ann', { subRequests: 1 }), 1)
  assert.deepEqual(kinds(first, 1), ['granted'], 'the oldest count is forgotten')
})
