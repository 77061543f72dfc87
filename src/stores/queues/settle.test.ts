import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventOutcome } from '#/core/program-events.ts'
import { settle } from './settle.ts'

const messages = ['a', 'b', 'c'].map((id, seq) => {
  return { seq, id, sentAt: 0, type: 'text' as const, body: Buffer.from(id), attempts: id === 'c' ? 3 : 0 }
})
const verdict = { ackAll: false, acks: [], retries: [] }
const later = (seq: number, due: number) => ({ seq, due, attempts: 1 })
const [a, b, c] = messages

const rows: [string, EventOutcome, { gone?: unknown[]; later?: unknown[]; dead?: unknown[] }][] = [
  ['nothing said', { end: 'ok', verdict }, { gone: [0, 1, 2] }],
  ['thrown', { end: 'exception', verdict }, { later: [later(0, 5000), later(1, 5000)], dead: [c] }],
  ['no verdict at all', { end: 'exceededCpu' }, { later: [later(0, 5000), later(1, 5000)], dead: [c] }],
  [
    'acknowledged, then thrown',
    { end: 'exception', verdict: { ...verdict, acks: ['a'] } },
    { gone: [0], later: [later(1, 5000)], dead: [c] },
  ],
  [
    'one again, the others not',
    { end: 'ok', verdict: { ...verdict, retries: [{ id: 'b', delaySeconds: 9 }] } },
    { gone: [0, 2], later: [later(1, 9000)] },
  ],
  [
    'all again but one',
    { end: 'ok', verdict: { ...verdict, retryAll: { delaySeconds: 2 }, acks: ['c'] } },
    { gone: [2], later: [later(0, 2000), later(1, 2000)] },
  ],
  [
    'all acknowledged but one',
    { end: 'exception', verdict: { ...verdict, ackAll: true, retries: [{ id: 'a' }] } },
    { gone: [1, 2], later: [later(0, 5000)] },
  ],
  [
    'a delay of nonsense',
    {
      end: 'ok',
      verdict: {
        ...verdict,
        retries: [
          { id: 'a', delaySeconds: -3 },
          { id: 'b', delaySeconds: 1e9 },
        ],
      },
    },
    { gone: [2], later: [later(0, 0), later(1, 86_400_000)] },
  ],
]
for (const [what, outcome, expected] of rows)
  test(`messages after their consumer was told: ${what}`, () => {
    const settled = settle([a!, b!, c!], outcome, { maxRetries: 3, retryDelayS: 5 }, 0)
    assert.deepEqual(settled, { gone: [], later: [], dead: [], ...expected })
  })
