import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { cuttable, frameCursor } from './web-socket-cut.ts'

const frame = (bytes: number): Buffer => {
  const head = bytes < 126 ? [bytes] : bytes < 65_536 ? [126, bytes >> 8, bytes & 255] : [127, 0, 0, 0, 0, 0, 1, 0, 0]
  return Buffer.concat([Buffer.of(0x81, ...head), Buffer.alloc(bytes, 0x88)])
}

for (const bytes of [0, 1, 125, 126, 300, 65_536])
  test(`a frame of ${bytes} bytes ends where it ends, however it is cut into pieces`, () => {
    const whole = frame(bytes)
    for (const piece of [1, 3, 7, whole.length]) {
      const cursor = frameCursor()
      for (let at = 0; at < whole.length; at += piece) {
        assert.equal(cursor.between, at === 0)
        cursor.advance(whole.subarray(at, at + piece))
      }
      assert.equal(cursor.between, true)
    }
  })

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
