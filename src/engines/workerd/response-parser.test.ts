import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ResponseParser } from './response-parser.ts'

/** Feeds the pieces and returns what was seen, or the error's message. */
function parse(pieces: readonly Buffer[], method = 'GET', options: { close?: boolean } = {}) {
  const seen = { status: 0, headers: [] as string[], interim: [] as number[], body: '', ended: false, keepAlive: true }
  const parser = new ResponseParser(
    {
      onHead(head) {
        seen.status = head.status
        seen.headers = head.headers
        seen.keepAlive = head.keepAlive
      },
      onInformational: (status) => void seen.interim.push(status),
      onData(bytes) {
        seen.body += bytes.toString('latin1')
      },
      onEnd() {
        seen.ended = true
      },
    },
    method,
    1000,
  )
  try {
    for (const piece of pieces) parser.push(piece)
    if (options.close) parser.close()
  } catch (error) {
    return (error as Error).message
  }
  return { ...seen, rest: parser.rest?.toString() }
}

const ok = (text: string, method = 'GET') => {
  const bytes = Buffer.from(text, 'latin1')
  const all = parse([bytes], method)
  for (let at = 1; at < bytes.length; at++) {
    const split = parse([bytes.subarray(0, at), bytes.subarray(at)], method)
    assert.deepEqual(typeof split === 'string' ? split : { ...split, rest: undefined }, {
      ...(all as object),
      rest: undefined,
    })
  }
  const one = parse(
    [...bytes].map((byte) => Buffer.from([byte])),
    method,
  )
  assert.deepEqual(typeof one === 'string' ? one : { ...one, rest: undefined }, { ...(all as object), rest: undefined })
  return all as Exclude<typeof all, string>
}

test('bodies: by length, in chunks, none; the same however the bytes are cut', () => {
  const fixed = ok('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a:  2 \r\n\r\nhello')
  assert.deepEqual(
    [fixed.status, fixed.headers, fixed.body, fixed.ended],
    [200, ['Content-Length', '5', 'X-A', '1', 'x-a', '2'], 'hello', true],
  )
  const chunks = ok(
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n',
  )
  assert.deepEqual([chunks.headers, chunks.body, chunks.ended], [[], 'abcd0123456789', true])
  assert.deepEqual(ok('HTTP/1.1 204 No Content\r\n\r\n').ended, true)
  assert.deepEqual(ok('HTTP/1.1 304\r\nContent-Length: 9\r\n\r\n').ended, true)
  assert.deepEqual(ok('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', 'HEAD').ended, true)
  assert.deepEqual(ok('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n').keepAlive, false)
})

test('interim answers come first; bytes behind the end stay apart', () => {
  const seen = ok('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx')
  assert.deepEqual([seen.interim, seen.status, seen.body], [[103], 200, 'x'])
  const upgraded = parse([
    Buffer.from('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw'),
  ])
  assert.deepEqual(upgraded, {
    status: 101,
    headers: [],
    interim: [],
    body: '',
    ended: true,
    keepAlive: true,
    rest: 'raw',
  })
})

test('a body without length lasts until the connection closes', () => {
  const seen = parse([Buffer.from('HTTP/1.1 200 OK\r\n\r\nab'), Buffer.from('c')], 'GET', { close: true })
  assert.equal(typeof seen === 'object' && seen.body, 'abc')
})

const wrong: [string, string][] = [
  ['HTTP/1.0 200 OK\r\n\r\n', 'bad status line'],
  ['HTTP/1.1 20 OK\r\n\r\n', 'bad status line'],
  ['HTTP/1.1 200 OK\r\nA b: 1\r\n\r\n', 'bad field name'],
  ['HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n', 'bad field name'],
  ['HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n\r\n', 'bad field value'],
  ['HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n', 'bad content-length'],
  ['HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n', 'bad content-length'],
  ['HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 'content-length beside chunks'],
  ['HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 'bad transfer-encoding'],
  ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=1\r\n', 'bad chunk size'],
  ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n', 'chunk longer than its size'],
  [`HTTP/1.1 200 OK\r\nA: ${'x'.repeat(1001)}`, 'line or head too long'],
]
for (const [text, message] of wrong)
  test(`refused: ${JSON.stringify(text.slice(0, 60))}`, () => {
    assert.equal(parse([Buffer.from(text, 'latin1')]), message)
  })

test('refused: a connection that closes in the middle', () => {
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe'
  assert.equal(parse([Buffer.from(text)], 'GET', { close: true }), 'closed before the response was complete')
})
