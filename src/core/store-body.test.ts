import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { bytesOf, bytesUpTo } from './store-body.ts'

const streamed = (...parts: string[]) => Readable.from(parts.map((part) => Buffer.from(part)))

test('bodies are read whole, or not at all where a stream is too long', async () => {
  const cases = [
    [undefined, 4, ''],
    [null, 4, ''],
    [Buffer.from('in memory'), 4, 'in memory'],
    [streamed(), 0, ''],
    [streamed('ab', 'cd'), 4, 'abcd'],
    [streamed('ab', 'cd', 'e'), 4, undefined],
    [streamed('ab', 'cd'), Number.POSITIVE_INFINITY, 'abcd'],
  ] as const
  for (const [body, most, expected] of cases)
    assert.equal((await bytesUpTo(body, most))?.toString(), expected, `${expected} of ${most}`)
  const long = streamed('ab', 'cd', 'e')
  await bytesUpTo(long, 3)
  assert.equal(long.destroyed, true)
})

test('what a stream breaks with is thrown', async () => {
  const broken = Readable.from(
    (async function* () {
      yield Buffer.from('a')
      throw new Error('gone')
    })(),
  )
  await assert.rejects(bytesOf(broken), /gone/)
})
