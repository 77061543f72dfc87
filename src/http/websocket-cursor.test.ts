import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFrameCursor } from './websocket-cursor.ts'
import { closeFrame, opcodes, writeFrame } from './websocket-frames.ts'

const mask = Buffer.of(0x88, 2, 3, 4)

for (const side of ['server', 'client'] as const)
  for (const bytes of [0, 1, 125, 126, 300, 65_536])
    test(`a frame of ${bytes} bytes of a ${side} ends where it ends, however it is cut into pieces`, () => {
      const whole = writeFrame(opcodes.text, Buffer.alloc(bytes, 0x88), side === 'client' ? { mask } : {})
      for (const piece of [1, 3, 7, whole.length]) {
        const cursor = createFrameCursor()
        for (let at = 0; at < whole.length; at += piece) {
          assert.equal(cursor.between, at === 0)
          cursor.advance(whole.subarray(at, at + piece))
        }
        assert.deepEqual([cursor.between, cursor.closed], [true, false])
      }
    })

test('of several frames the first can be told from the rest, also when it began before', () => {
  const [first, second] = [
    writeFrame(opcodes.binary, Buffer.alloc(200)),
    writeFrame(opcodes.text, Buffer.from('hello')),
  ]
  for (const before of [0, 1, 3, 4, 150]) {
    const cursor = createFrameCursor()
    cursor.advance(first.subarray(0, before))
    const rest = Buffer.concat([first.subarray(before), second])
    assert.equal(cursor.advanceToEnd(rest), first.length - before)
    assert.equal(cursor.between, true)
    assert.equal(cursor.advanceToEnd(second.subarray(0, 4)), 4)
    assert.equal(cursor.between, false)
  }
})

test('a close frame is known once it is whole', () => {
  for (const whole of [closeFrame(1001, 'bye'), writeFrame(opcodes.close, Buffer.alloc(0), { mask })]) {
    const cursor = createFrameCursor()
    cursor.advance(writeFrame(opcodes.text, Buffer.from('a')))
    for (const byte of whole) {
      assert.equal(cursor.closed, false)
      cursor.advance(Buffer.of(byte))
    }
    assert.equal(cursor.closed, true)
  }
})
