import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createProgramOutput } from '#/control/program-output.ts'
import type { Trace } from '#/core/traces.ts'
import { withOutput } from './output-traces.ts'

test('lines of a Compute program come as traces, until nobody listens any more', async () => {
  const output = createProgramOutput({ limits: { outputLineBytes: 100 } })
  const ended: string[] = []
  const traces = { listen: (program: string) => () => void ended.push(program) }
  const heard: Trace[] = []
  const end = withOutput(traces, output).listen('a', (trace) => heard.push(trace))
  output.write('a', { stream: 'stderr', requestId: 'r1', at: 7, message: 'oh' })
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(
    heard.map(({ event, logs }) => [event, logs]),
    [[{ output: { requestId: 'r1' } }, [{ message: ['oh'], level: 'stderr', timestamp: 7 }]]],
  )
  end()
  assert.deepEqual([output.wanted('a'), ended], [false, ['a']])
})
