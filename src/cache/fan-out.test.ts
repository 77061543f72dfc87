import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { createFanOut } from './fan-out.ts'

for (const why of [new Error('cut'), undefined])
  test(`a source that is gone before anybody listens breaks all who follow it: ${why?.message ?? 'no error'}`, async () => {
    const source = Readable.from([Buffer.from('never read')])
    const closed = new Promise((resolve) => source.on('error', () => {}).once('close', resolve))
    source.destroy(why)
    await closed
    const fan = createFanOut({
      ...{ source, writer: undefined, keepBytes: 1000, storeBytes: 1000, declared: 10, unread: false },
      ...{ mayFinish: () => true, onDeserted: () => 'end' },
    })
    for (let follower = 0; follower < 2; follower++) {
      const stream = fan.follow()
      // Longer than an error waits for a listener.
      await new Promise(setImmediate)
      await assert.rejects(stream.toArray(), /cut|broke off/)
    }
    assert.equal(await fan.done, undefined)
  })
