import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { readExactly } from './backplane-bucket.ts'

test('so many bytes are read of a stream, however they arrive, and the rest stays', { timeout: 10_000 }, async () => {
  for (const size of [1, 3, 5, 100]) {
    const stream = new PassThrough()
    const reading = readExactly(stream, 5)
    for (let at = 0; at < 12; at += size) {
      stream.write('0123456789ab'.slice(at, at + size))
      // What has come is there before the next: the reader must let others have their turn.
      await turn()
    }
    stream.end()
    assert.equal((await reading).toString(), '01234', `${size}`)
    assert.equal((await readExactly(stream, 3)).toString(), '567')
    assert.equal(Buffer.concat(await stream.toArray()).toString(), '89ab')
  }
})

test('a stream that ends before is an error', { timeout: 10_000 }, async () => {
  const short = new PassThrough()
  short.end('0123')
  await assert.rejects(readExactly(short, 5), { code: 'client_gone' })
  const cut = new PassThrough()
  cut.write('0123')
  const reading = readExactly(cut, 5)
  cut.destroy()
  await assert.rejects(reading, { code: 'client_gone' })
})
