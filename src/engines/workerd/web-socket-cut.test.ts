import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { cuttable } from './web-socket-cut.ts'

const frame = (bytes: number): Buffer => {
  const head = bytes < 126 ? [bytes] : bytes < 65_536 ? [126, bytes >> 8, bytes & 255] : [127, 0, 0, 0, 0, 0, 1, 0, 0]
  return Buffer.concat([Buffer.of(0x81, ...head), Buffer.alloc(bytes, 0x88)])
}

function pair(): { inner: Duplex; written: Buffer[] } {
  const written: Buffer[] = []
  const inner = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      written.push(chunk)
      done()
    },
  })
  return { inner, written }
}

test('between frames a cut sends the close frame, within one it only ends', async () => {
  for (const [sent, expected] of [
    [frame(3), Buffer.concat([frame(3), Buffer.of(0x88, 2, 0x03, 0xf4)])],
    [frame(3).subarray(0, 4), frame(3).subarray(0, 4)],
  ] as const) {
    const { inner, written } = pair()
    const socket = cuttable(inner)
    socket.outer.write('up')
    inner.push(sent)
    await new Promise(setImmediate)
    socket.cut(1012)
    assert.deepEqual(Buffer.concat(await socket.outer.toArray()), expected)
    assert.deepEqual(written, [Buffer.from('up')])
    assert.ok(inner.destroyed)
  }
})
