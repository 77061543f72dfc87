import assert from 'node:assert/strict'
import { test } from 'node:test'
import { acceptKey, closeFrame, createFrameReader, type Incoming, opcodes, writeFrame } from './websocket-frames.ts'

const mask = Buffer.from([1, 2, 3, 4])
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

function shown(incoming: Incoming): string {
  switch (incoming.kind) {
    case 'text':
      return `text ${incoming.text}`
    case 'binary':
      return `binary ${incoming.bytes.toString('hex')}`
    case 'close':
      return `close ${incoming.code} ${incoming.reason}`.trim()
    case 'violation':
      return `violation ${incoming.code}`
    default:
      return `${incoming.kind} ${incoming.payload}`
  }
}

function read(bytes: Buffer, maxBytes = 1000): string[] {
  return createFrameReader({ maxBytes }).push(bytes).map(shown)
}

test('frames of RFC 6455 §5.7', () => {
  const table: [string, string][] = [
    ['81 05 48 65 6c 6c 6f', 'text Hello'],
    ['81 85 37 fa 21 3d 7f 9f 4d 51 58', 'text Hello'],
    ['01 03 48 65 6c 80 02 6c 6f', 'text Hello'],
    ['89 05 48 65 6c 6c 6f', 'ping Hello'],
    ['8a 85 37 fa 21 3d 7f 9f 4d 51 58', 'pong Hello'],
  ]
  for (const [bytes, expected] of table) assert.deepEqual(read(hex(bytes)), [expected])
  assert.equal(acceptKey('dGhlIHNhbXBsZSBub25jZQ=='), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
})

test('what breaks the protocol ends it', () => {
  const table: [string, Buffer, string[]][] = [
    ['reserved bit', hex('c1 00'), ['violation 1002']],
    ['unknown opcode', hex('83 00'), ['violation 1002']],
    ['fragmented ping', hex('09 00'), ['violation 1002']],
    ['long ping', hex('89 7e 00 7e'), ['violation 1002']],
    ['length not shortest', hex('81 7e 00 05'), ['violation 1002']],
    ['length not shortest (64)', hex('81 7f 0000000000000005'), ['violation 1002']],
    ['length over 63 bits', hex('81 7f ffffffffffffffff'), ['violation 1002']],
    ['too large', hex('82 7e 03 e9'), ['violation 1009']],
    ['continuation of nothing', hex('80 00'), ['violation 1002']],
    ['message inside a message', hex('01 01 41 81 01 42'), ['violation 1002']],
    ['not UTF-8', hex('81 02 c3 28'), ['violation 1007']],
    ['half a close code', hex('88 01 03'), ['violation 1002']],
    ['close code 1005', hex('88 02 03 ed'), ['violation 1002']],
    ['close code 2999', hex('88 02 0b b7'), ['violation 1002']],
    ['close reason not UTF-8', hex('88 04 03 e8 c3 28'), ['violation 1007']],
    ['close without code', hex('88 00'), ['close 1005']],
    ['nothing after close', Buffer.concat([closeFrame(1000, 'bye'), hex('81 01 41')]), ['close 1000 bye']],
    ['ping between fragments', hex('01 01 41 89 00 80 01 42'), ['ping ', 'text AB']],
  ]
  for (const [name, bytes, expected] of table) assert.deepEqual(read(bytes), expected, name)
})

test('any size, masked or not, byte by byte', () => {
  for (const size of [0, 1, 125, 126, 65535, 65536]) {
    const payload = Buffer.alloc(size, 'é')
    for (const options of [{}, { mask }]) {
      const bytes = writeFrame(opcodes.binary, payload, options)
      assert.deepEqual(read(bytes, 70_000), [`binary ${payload.toString('hex')}`])
    }
  }
  const reader = createFrameReader({ maxBytes: 10 })
  const frames = Buffer.concat([
    writeFrame(opcodes.text, Buffer.from('gr'), { fin: false, mask }),
    writeFrame(opcodes.continuation, Buffer.from('üß'), { mask }),
    writeFrame(opcodes.ping, Buffer.from('p'), { mask }),
  ])
  const found = [...frames].flatMap((byte) => reader.push(Buffer.from([byte])))
  assert.deepEqual(found.map(shown), ['text grüß', 'ping p'])
})

test('a message in parts keeps to the cap', () => {
  const part = writeFrame(opcodes.text, Buffer.alloc(6, 'a'), { fin: false })
  const more = writeFrame(opcodes.continuation, Buffer.alloc(6, 'a'))
  assert.deepEqual(read(Buffer.concat([part, more]), 10), ['violation 1009'])
})

test('a long reason is cut between characters', () => {
  const [close] = createFrameReader({ maxBytes: 1000 }).push(closeFrame(1011, 'ü'.repeat(200)))
  assert.equal(close?.kind === 'close' && close.reason, 'ü'.repeat(60))
})
