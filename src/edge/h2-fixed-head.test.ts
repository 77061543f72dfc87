import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHpackDecoder } from '#/http/hpack.ts'
import { fieldsOfLines, fixedBlock } from './h2-fixed-head.ts'

const decode = (block: string) =>
  createHpackDecoder({ tableBytes: 4096, listBytes: 100_000, listCount: 100 }).decode(Buffer.from(block, 'latin1'))
    ?.fields

test('a head for HTTP/1 becomes a block with the same fields, each time', () => {
  const head = 'HTTP/1.1 200 OK\r\nETag: "a: b"\r\nx-empty: \r\nx-ä: é\r\ndate: now\r\n'
  const fields = [':status', '200', 'etag', '"a: b"', 'x-empty', '', 'x-ä', 'é', 'date', 'now']
  for (let round = 0; round < 2; round++) assert.deepEqual(decode(fixedBlock(head)), fields)
  assert.deepEqual(fieldsOfLines('', 0), [])
})

test('more heads than are kept', () => {
  for (let index = 0; index < 2_500; index++) {
    const head = `HTTP/1.1 200 OK\r\nage: ${index}\r\n`
    assert.deepEqual(decode(fixedBlock(head)), [':status', '200', 'age', String(index)])
  }
})
