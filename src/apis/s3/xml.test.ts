import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c } from './checksums.ts'
import { childText, readXml, writeXml } from './xml.ts'

test('what is written is read again, whatever is in it', () => {
  const texts = ['plain', '<&>"\'', 'ä🧀', ' \t', 'a\r\nb', '&amp;']
  for (const text of texts)
    assert.equal(childText(readXml(writeXml('R', { A: text }))!, 'A'), text, JSON.stringify(text))
  assert.match(
    writeXml('R', { A: [1, 2], B: undefined, C: { D: true } }),
    /<A>1<\/A><A>2<\/A><C><D>true<\/D><\/C><\/R>$/,
  )
})

test('what is not well formed is not read', () => {
  const bad = ['', 'text', '<a>', '<a></b>', '<a><b></a></b>', '</a>', '<a/><b/>', '<a>1 < 2</a>', '<a>'.repeat(20)]
  for (const text of bad) assert.equal(readXml(text), undefined, text)
  const read = readXml(`\ufeff<?xml version="1.0"?><!-- x --><a xmlns="u"> <b>1</b><b/><c>&#x41;&#66;</c></a>`)
  assert.deepEqual(
    read?.children.map(({ name, text }) => [name, text]),
    [
      ['b', '1'],
      ['b', ''],
      ['c', 'AB'],
    ],
  )
})

test('CRC-32C of the check value (RFC 3720 §B.4)', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa)
})
