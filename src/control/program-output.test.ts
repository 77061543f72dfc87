import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OutputLine } from '#/core/program-output.ts'
import { createProgramOutput } from './program-output.ts'

const line = (message: string): OutputLine => ({ stream: 'stdout', requestId: 'r', at: 1, message })
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('lines reach those who listen to their program, outside of the write, cut to their cap', async () => {
  const output = createProgramOutput({ limits: { outputLineBytes: 5 } })
  const heard: string[] = []
  assert.equal(output.wanted('a'), false)
  output.write('a', line('nobody'))
  const end = output.listen('a', ({ message }) => heard.push(`one ${message}`))
  output.listen('a', () => {
    throw new Error('a listener that fails')
  })
  output.listen('a', ({ message }) => heard.push(`three ${message}`))
  assert.deepEqual([output.wanted('a'), output.wanted('b')], [true, false])
  output.write('a', line('1234567'))
  output.write('b', line('other'))
  assert.deepEqual(heard, [], 'not within the write')
  await turn()
  assert.deepEqual(heard, ['one 12345', 'three 12345'])
  end()
  output.write('a', line('x'))
  await turn()
  assert.deepEqual(heard.slice(2), ['three x'])
})
