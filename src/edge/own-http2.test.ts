/**
 * HTTP/2 by our own framing: RFC 9113 §3 to §8 as a table of frames and what must come of them. Real clients talk to it
 * in `http2.test.ts`, floods and flow control are in `own-http2-flow.test.ts`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from './edge.fixture.ts'
import {
  authority,
  both,
  continuation,
  data,
  endHeaders,
  endStream,
  frame,
  get,
  getBlock,
  goaway,
  headers,
  literal,
  mark,
  number,
  padded,
  ping,
  post,
  preface,
  priority,
  push,
  reset,
  set,
  settings,
  speak,
  start,
  told,
  wait,
  window,
} from './h2.fixture.ts'

const connect = (method: string, ...more: readonly Buffer[]) =>
  frame(headers, both, 1, Buffer.concat([literal(':method', method), ...more]))
const extended = [literal(':protocol', 'websocket'), literal(':scheme', 'http'), literal(':path', '/')]

/** Section and rule, frames behind the preface and SETTINGS, the last thing told before the mark or the end. */
const rules: readonly (readonly [string, readonly Buffer[], string])[] = [
  ['a plain request', [get(1)], 'end 1'],
  ['4.1 an unknown frame is ignored', [frame(0x42, 0xff, 3, [1, 2, 3])], 'mark'],
  ['4.1 reserved bits and unknown flags are ignored', [frame(headers, both | 0x40, 1, getBlock)], 'end 1'],
  ['4.2 a frame too large', [frame(data, 0, 1, Buffer.alloc(16_385))], 'goaway 6'],
  ['4.3 a block that is no HPACK', [frame(headers, both, 1, [0x80])], 'goaway 9'],
  ['4.3 a frame inside a block', [frame(headers, endStream, 1, getBlock), mark], 'goaway 1'],
  [
    '4.3 another stream inside a block',
    [frame(headers, endStream, 1, getBlock), frame(continuation, endHeaders, 3)],
    'goaway 1',
  ],
  ['5.1 DATA on an idle stream', [frame(data, 0, 1, [1])], 'goaway 1'],
  ['5.1 RST_STREAM on an idle stream', [frame(reset, 0, 1, number(8))], 'goaway 1'],
  ['5.1 WINDOW_UPDATE on an idle stream', [frame(window, 0, 1, number(8))], 'goaway 1'],
  ['5.1 CONTINUATION on an idle stream', [frame(continuation, endHeaders, 1, getBlock)], 'goaway 1'],
  ['5.1 PRIORITY on an idle stream', [frame(priority, 0, 9, [0, 0, 0, 0, 1])], 'mark'],
  ['5.1 DATA behind the end', [wait(1), frame(data, 0, 1, [1])], 'reset 1 5'],
  ['5.1 HEADERS behind the end', [wait(1), get(1)], 'reset 1 5'],
  ['5.1 DATA on a reset stream', [wait(1), frame(reset, 0, 1, number(8)), frame(data, 0, 1, [1])], 'reset 1 5'],
  ['5.1 HEADERS on a reset stream', [wait(1), frame(reset, 0, 1, number(8)), get(1)], 'goaway 5'],
  [
    '5.1 WINDOW_UPDATE and RST_STREAM on a closed stream',
    [wait(1), frame(reset, 0, 1, number(8)), frame(window, 0, 1, number(1)), frame(reset, 0, 1, number(8))],
    'mark',
  ],
  [
    '5.1 frames behind our own reset',
    [post(1, literal('Upper', 'x')), frame(data, 0, 1, [1]), frame(headers, both, 1, [0x82])],
    'reset 1 1',
  ],
  ['5.1.1 an even stream', [get(2)], 'goaway 1'],
  ['5.1.1 a stream left out before', [wait(5), get(3)], 'goaway 1'],
  ['5.3.1 a stream that depends on itself', [frame(priority, 0, 1, [0, 0, 0, 1, 1])], 'goaway 1'],
  [
    '5.3.1 a request that depends on itself',
    [frame(headers, both | 32, 1, Buffer.concat([Buffer.from([0, 0, 0, 1, 1]), getBlock]))],
    'goaway 1',
  ],
  [
    '5.3.1 a request that depends on another',
    [frame(headers, both | 32, 3, Buffer.concat([Buffer.from([0, 0, 0, 1, 1]), getBlock]))],
    'end 3',
  ],
  ['6.1 DATA on stream 0', [frame(data, 0, 0, [1])], 'goaway 1'],
  ['6.1 padding', [post(1), frame(data, endStream | padded, 1, [2, 65, 0, 0])], 'end 1'],
  ['6.1 more padding than payload', [post(1), frame(data, endStream | padded, 1, [3, 65, 0])], 'goaway 1'],
  ['6.2 HEADERS on stream 0', [get(0)], 'goaway 1'],
  [
    '6.2 padding and priority',
    [
      frame(
        headers,
        both | padded | 32,
        1,
        Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 9]), getBlock, Buffer.from([0])]),
      ),
    ],
    'end 1',
  ],
  ['6.2 more padding than payload', [frame(headers, both | padded, 1, [9, 0x82])], 'goaway 1'],
  ['6.2 no room for its priority', [frame(headers, both | 32, 1, [0, 0])], 'goaway 6'],
  ['6.3 PRIORITY on stream 0', [frame(priority, 0, 0, [0, 0, 0, 0, 1])], 'goaway 1'],
  ['6.3 PRIORITY of four bytes', [frame(priority, 0, 1, [0, 0, 0, 0])], 'goaway 6'],
  ['6.4 RST_STREAM on stream 0', [frame(reset, 0, 0, number(8))], 'goaway 1'],
  ['6.4 RST_STREAM of three bytes', [wait(1), frame(reset, 0, 1, [0, 0, 0])], 'goaway 6'],
  ['6.5 an acknowledgement with settings', [frame(settings, 1, 0, [0, 1, 0, 0, 0, 0])], 'goaway 6'],
  ['6.5 SETTINGS on a stream', [frame(settings, 0, 1)], 'goaway 1'],
  ['6.5 SETTINGS of three bytes', [frame(settings, 0, 0, [0, 0, 0])], 'goaway 6'],
  ['6.5.2 ENABLE_PUSH 2', [set(2, 2)], 'goaway 1'],
  ['6.5.2 INITIAL_WINDOW_SIZE 2^31', [set(4, 2 ** 31)], 'goaway 3'],
  ['6.5.2 MAX_FRAME_SIZE 16,383', [set(5, 16_383)], 'goaway 1'],
  ['6.5.2 MAX_FRAME_SIZE 2^24', [set(5, 2 ** 24)], 'goaway 1'],
  ['6.5.2 an unknown setting', [set(0x99, 1)], 'mark'],
  ['6.6 PUSH_PROMISE', [frame(push, endHeaders, 1, getBlock)], 'goaway 1'],
  ['6.7 PING', [frame(ping, 0, 0, Buffer.alloc(8))], 'mark'],
  ['6.7 PING acknowledged is not answered', [frame(ping, 1, 0, Buffer.from('the mark'))], 'mark'],
  ['6.7 PING on a stream', [frame(ping, 0, 1, Buffer.alloc(8))], 'goaway 1'],
  ['6.7 PING of seven bytes', [frame(ping, 0, 0, Buffer.alloc(7))], 'goaway 6'],
  ['6.8 GOAWAY on a stream', [frame(goaway, 0, 1, Buffer.alloc(8))], 'goaway 1'],
  ['6.9 a window of nothing', [frame(window, 0, 0, number(0))], 'goaway 1'],
  ['6.9 a window of nothing on a stream', [wait(1), frame(window, 0, 1, number(0))], 'reset 1 1'],
  ['6.9 WINDOW_UPDATE of three bytes', [frame(window, 0, 0, [0, 0, 1])], 'goaway 6'],
  [
    '6.9.1 a window too large',
    [frame(window, 0, 0, number(2 ** 31 - 1)), frame(window, 0, 0, number(2 ** 31 - 1))],
    'goaway 3',
  ],
  ['6.9.1 a window too large on a stream', [wait(1), frame(window, 0, 1, number(2 ** 31 - 1))], 'reset 1 3'],
  [
    '6.9.2 windows too large by SETTINGS',
    [wait(1), frame(window, 0, 1, number(2 ** 31 - 1 - 65_535)), set(4, 65_536)],
    'goaway 3',
  ],
  [
    '6.10 many CONTINUATIONs',
    [
      frame(headers, endStream, 1, getBlock.subarray(0, 3)),
      frame(continuation, 0, 1),
      frame(continuation, 0, 1, getBlock.subarray(3)),
      frame(continuation, endHeaders, 1),
    ],
    'end 1',
  ],
  ['6.10 CONTINUATION behind the end of the block', [wait(1), frame(continuation, endHeaders, 1)], 'goaway 1'],
  [
    '6.10 CONTINUATION on stream 0',
    [frame(headers, endStream, 1, getBlock), frame(continuation, endHeaders, 0)],
    'goaway 1',
  ],
  ['8.1 trailers', [post(1), frame(data, 0, 1, [65]), frame(headers, both, 1, literal('x', 'y'))], 'end 1'],
  ['8.1 trailers that do not end', [post(1), frame(headers, endHeaders, 1, literal('x', 'y'))], 'reset 1 1'],
  ['8.1 trailers with a pseudo-field', [post(1), frame(headers, both, 1, literal(':path', '/'))], 'reset 1 1'],
  [
    '8.1.1 a body longer than declared',
    [post(1, literal('content-length', '1')), frame(data, 0, 1, [1, 2])],
    'reset 1 1',
  ],
  [
    '8.1.1 a body shorter than declared',
    [post(1, literal('content-length', '2')), frame(data, endStream, 1, [1])],
    'reset 1 1',
  ],
  ['8.1.1 a body declared that never comes', [get(1, literal('content-length', '2'))], 'reset 1 1'],
  ['8.2.1 upper case', [get(1, literal('X', 'y'))], 'reset 1 1'],
  ['8.2.1 a space in a name', [get(1, literal('x y', 'z'))], 'reset 1 1'],
  ['8.2.1 no name', [get(1, literal('', 'z'))], 'reset 1 1'],
  ['8.2.1 a line end in a value', [get(1, literal('x', 'a\r\nb: c'))], 'reset 1 1'],
  ['8.2.1 NUL in a value', [get(1, literal('x', 'a\0'))], 'reset 1 1'],
  ['8.2.1 a space before a value', [get(1, literal('x', ' a'))], 'reset 1 1'],
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'].map(
    (name) => [`8.2.2 ${name}`, [get(1, literal(name, 'x'))], 'reset 1 1'] as const,
  ),
  ['8.2.2 te: trailers', [get(1, literal('te', 'trailers'))], 'end 1'],
  ['8.2.2 te: gzip', [get(1, literal('te', 'gzip'))], 'reset 1 1'],
  ['8.3 an unknown pseudo-field', [get(1, literal(':x', 'y'))], 'reset 1 1'],
  ['8.3 a pseudo-field of answers', [get(1, literal(':status', '200'))], 'reset 1 1'],
  [
    '8.3 a pseudo-field behind others',
    [frame(headers, both, 1, Buffer.concat([getBlock.subarray(0, 2), literal('x', 'y'), getBlock.subarray(2)]))],
    'reset 1 1',
  ],
  ['8.3.1 CONNECT with a path', [connect('CONNECT', literal(':path', '/'), authority)], 'reset 1 1'],
  ['8.5 CONNECT to a host', [connect('CONNECT', authority)], 'answer 1'],
  ['8441 4 a protocol without CONNECT', [connect('GET', ...extended, authority)], 'reset 1 1'],
  ['8441 4 a protocol without an authority', [connect('CONNECT', ...extended)], 'reset 1 1'],
  ['8441 4 a protocol without a path', [connect('CONNECT', ...extended.slice(0, 2), authority)], 'reset 1 1'],
  ['8441 5 a WebSocket that ends with its head', [connect('CONNECT', ...extended, authority)], 'end 1'],
  ['8.3.1 two paths', [get(1, literal(':path', '/'))], 'reset 1 1'],
  ['8.3.1 no path', [frame(headers, both, 1, Buffer.concat([Buffer.from([0x82, 0x86]), authority]))], 'reset 1 1'],
  ['8.3.1 no method', [frame(headers, both, 1, getBlock.subarray(1))], 'reset 1 1'],
  ['8.3.1 no scheme', [frame(headers, both, 1, Buffer.concat([Buffer.from([0x82, 0x84]), authority]))], 'reset 1 1'],
  [
    '8.3.1 an empty path',
    [frame(headers, both, 1, Buffer.concat([Buffer.from([0x82, 0x86]), literal(':path', ''), authority]))],
    'reset 1 1',
  ],
]

for (const [name, frames, expected] of rules)
  test(`RFC 9113 §${name}`, async (t) => {
    const { port } = await start(t)
    const client = speak(t, port, preface, frame(settings, 0, 0), ...frames, mark)
    const over = () => told(client.frames).some((one) => one.startsWith('goaway'))
    await until(() => over() || told(client.frames).includes(expected))
    const events = told(client.frames)
    if (!over() && expected !== 'mark') await until(() => told(client.frames).includes('mark'))
    assert.equal(events.includes(expected), true, events.join(', '))
    assert.equal(over(), expected.startsWith('goaway'), events.join(', '))
    if (over())
      await new Promise((resolve) => (client.socket.destroyed ? resolve(0) : client.socket.once('close', resolve)))
  })

test('what is no preface, and frames before SETTINGS, end the connection', async (t) => {
  const { port } = await start(t)
  for (const bytes of [Buffer.concat([preface, mark]), Buffer.concat([preface, frame(settings, 1, 0)])]) {
    const client = speak(t, port, bytes)
    await until(() => told(client.frames).includes('goaway 1'))
  }
})

test('a preface and frames in pieces of any size', async (t) => {
  const { port } = await start(t)
  const bytes = Buffer.concat([preface, frame(settings, 0, 0), post(1), frame(data, endStream, 1, [65, 66]), mark])
  for (const size of [1, 7, 23, 25, 40]) {
    const client = speak(t, port)
    client.socket.setNoDelay(true)
    for (let at = 0; at < bytes.length; at += size) {
      client.socket.write(bytes.subarray(at, at + size))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => told(client.frames).includes('end 1'))
  }
})
