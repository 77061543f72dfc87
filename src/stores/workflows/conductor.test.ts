/** What becomes of a run whose end cannot be recorded when it ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import type { InstanceCall } from './answer-call.ts'
import type { Instances } from './ask-instances.ts'
import { createConductor } from './conductor.ts'

test('a run that was cut off while the disk was full is recorded as over later, and another one follows', async (t) => {
  const runs: number[] = []
  const second = Promise.withResolvers<void>()
  let isFull = false
  let due: number | undefined = 1
  const instances: Pick<Instances, 'ask'> = {
    async ask<Answer>(_workflow: string, call: InstanceCall) {
      if (isFull) {
        isFull = false
        throw new EdgeError('storage_full', 'No room.')
      }
      if (call.do === 'lose') due = (call as { run: number }).run + 1
      if (call.do !== 'claim') return {} as Answer
      const claimed = due === undefined ? [] : [{ instance: 'one', run: due }]
      due = undefined
      return { claimed, nextDue: null } as Answer
    },
  }
  const logged: string[] = []
  const conductor = createConductor({
    instances: instances as Instances,
    target: () => ({ program: 'shop', className: 'Flow' }),
    isDeployed: () => true,
    async deliver(_program, { run }) {
      runs.push(run)
      if (run === 1) {
        isFull = true
        throw new EdgeError('internal', 'The program ended.')
      }
      second.resolve()
      return new Promise(() => {})
    },
    clock: Date.now,
    limits: { workflowRuns: 5, workflowSweepMs: 1e15 },
    log: (message) => void logged.push(message),
  })
  t.after(() => conductor.close())
  conductor.look('flow')
  const late = setTimeout(() => second.reject(new Error('no other run followed')), 10_000)
  t.after(() => clearTimeout(late))
  await second.promise
  assert.deepEqual(runs, [1, 2])
  assert.deepEqual(logged, ['a run of a workflow was cut off', 'a run of a workflow is not recorded as over'])
})
