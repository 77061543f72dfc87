import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBatchQueue } from './batch-queue.ts'

type Outcome = { readonly value: number } | { readonly why: string }

function open(options: { batch?: number; most?: number } = {}) {
  const sent: string[][] = []
  const queue = createBatchQueue<string, Outcome, number>({
    name: 'the test',
    send: (calls) => void sent.push([...calls]),
    settle(outcome) {
      if ('value' in outcome) return outcome.value
      throw new Error(outcome.why)
    },
    ...{ batch: 2, most: 4, ...options },
  })
  return { sent, queue }
}
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('what is asked for while a batch runs goes into the next, which is sent before anybody hears', async () => {
  const { sent, queue } = open()
  const heard: (number | string)[] = []
  for (const call of ['a', 'b', 'c', 'd'])
    queue.ask(call).then(
      (value) => heard.push(value, sent.length),
      (error: Error) => heard.push(error.message),
    )
  await turn()
  assert.deepEqual(sent, [['a', 'b']])
  await assert.rejects(queue.ask('e'), { code: 'overloaded' })
  queue.answered([{ value: 1 }, { why: 'no' }])
  await turn()
  assert.deepEqual(sent, [
    ['a', 'b'],
    ['c', 'd'],
  ])
  assert.deepEqual(heard, [1, 2, 'no'])
  queue.ask('e').catch(() => {})
  const closed = queue.close()
  await assert.rejects(queue.ask('f'), { code: 'internal', message: 'It is over with the test.' })
  queue.answered([{ value: 3 }, { value: 4 }])
  queue.answered([{ value: 5 }])
  await closed
  assert.deepEqual(sent.at(-1), ['e'])
})

test('when the thread ends, all that waits hears why', async () => {
  const { queue } = open({ batch: 1 })
  const all = Promise.allSettled([queue.ask('a'), queue.ask('b')])
  await turn()
  const closed = queue.close()
  queue.broke(new Error('out of memory'))
  for (const one of await all) assert.match(String((one as PromiseRejectedResult).reason), /ended: out of memory/)
  await closed
  assert.equal(queue.isOver, true)
})
