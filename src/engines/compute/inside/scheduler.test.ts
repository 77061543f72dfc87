import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Sandbox } from './sandbox.ts'
import { createTurns } from './scheduler.ts'

const watch = { begin() {}, end: () => false, halt() {} }

function spin(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

/** Queues turns that compute so long each; tells how many had ended when the thread first did something else. */
async function endedAtFirstGap(count: number, turnMs: number): Promise<number> {
  const turns = createTurns(watch)
  const { promise, resolve } = Promise.withResolvers<void>()
  let ended = 0
  let atGap: number | undefined
  setImmediate(() => {
    atGap = ended
  })
  for (let index = 0; index < count; index++) {
    const sandbox = { program: { turnMs: 0 }, cpuLeftMs: 50, cpuMs: 0, stopped: false } as unknown as Sandbox
    turns.take(sandbox, () => {
      queueMicrotask(() => {
        spin(turnMs)
        ended++
        turns.end(sandbox)
        if (ended === count) resolve()
      })
    })
  }
  await promise
  return atGap ?? count
}

test('turns that take long together let the thread do something else between them', async () => {
  assert.ok((await endedAtFirstGap(10, 15)) < 10)
})
