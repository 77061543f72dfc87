import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHpackDecoder, headBlock } from './hpack.ts'
import { decodeHuffman, huffmanLengths } from './hpack-huffman.ts'

const options = { tableBytes: 4096, listBytes: 100_000, listCount: 1000 }
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

test('the lengths make a complete code', () => {
  assert.equal(huffmanLengths.length, 257)
  assert.equal(
    huffmanLengths.reduce((sum, bits) => sum + 2 ** -bits, 0),
    1,
  )
})

/** RFC 7541 C.3, C.4 and C.5: blocks of one connection, in order. */
const examples: readonly (readonly [string, readonly (readonly [string, readonly string[]])[]])[] = [
  [
    'C.3, without Huffman',
    [
      [
        '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'],
      ],
      [
        '8286 84be 5808 6e6f 2d63 6163 6865',
        [
          ':method',
          'GET',
          ':scheme',
          'http',
          ':path',
          '/',
          ':authority',
          'www.example.com',
          'cache-control',
          'no-cache',
        ],
      ],
      [
        '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
        [
          ':method',
          'GET',
          ':scheme',
          'https',
          ':path',
          '/index.html',
          ':authority',
          'www.example.com',
          'custom-key',
          'custom-value',
        ],
      ],
    ],
  ],
  [
    'C.4, with Huffman',
    [
      [
        '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
        [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'],
      ],
      [
        '8286 84be 5886 a8eb 1064 9cbf',
        [
          ':method',
          'GET',
          ':scheme',
          'http',
          ':path',
          '/',
          ':authority',
          'www.example.com',
          'cache-control',
          'no-cache',
        ],
      ],
      [
        '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
        [
          ':method',
          'GET',
          ':scheme',
          'https',
          ':path',
          '/index.html',
          ':authority',
          'www.example.com',
          'custom-key',
          'custom-value',
        ],
      ],
    ],
  ],
]
for (const [name, blocks] of examples)
  test(`RFC 7541 ${name}`, () => {
    const decoder = createHpackDecoder(options)
    for (const [block, fields] of blocks) assert.deepEqual(decoder.decode(hex(block))?.fields, fields)
  })

/** Name and block. */
const malformed: readonly (readonly [string, string])[] = [
  ['index 0', '80'],
  ['index beyond the tables', 'be'],
  ['integer without an end', 'ff ff ff ff ff ff ff'],
  ['integer cut off', 'ff'],
  ['string cut off', '00 05 61'],
  ['no value', '00 01 61'],
  ['table larger than said', '3f e2 1f'],
  ['table size behind a field', '82 20'],
  ['Huffman with its end symbol', '00 01 61 84 ff ff ff ff'],
  ['Huffman padded with zeros', '00 01 61 81 18'],
  ['Huffman padded with a byte', '00 01 61 82 1f ff'],
]
for (const [name, block] of malformed)
  test(`malformed: ${name}`, () => assert.equal(createHpackDecoder(options).decode(hex(block)), undefined))

test('entries leave when the table is full or made smaller, and a list may only be so large', () => {
  const decoder = createHpackDecoder({ ...options, tableBytes: 80, listBytes: 200, listCount: 3 })
  assert.deepEqual(decoder.decode(hex('40 01 61 01 31 40 01 62 01 32 bf be'))?.fields, ['a', '1', 'b', '2', 'a', '1'])
  assert.deepEqual(decoder.decode(hex('40 01 63 01 33 be bf'))?.fields, ['c', '3', 'c', '3', 'b', '2'])
  assert.equal(decoder.decode(hex('c0')), undefined)
  assert.deepEqual(decoder.decode(hex('20 be')), undefined)
  const small = createHpackDecoder({ ...options, listBytes: 70, listCount: 100 })
  assert.deepEqual(small.decode(hex('40 01 61 01 31 be be be')), { fields: ['a', '1', 'a', '1'], tooLarge: true })
  const few = createHpackDecoder({ ...options, listCount: 1 })
  assert.deepEqual(few.decode(hex('82 82')), { fields: [':method', 'GET'], tooLarge: true })
})

test('what is encoded is decoded', () => {
  const long = 'y'.repeat(126)
  const headers = ['content-type', 'text/html', 'x-long', 'y'.repeat(70_000), 'set-cookie', 'ä=1', 'empty', '']
  headers.push('www-authenticate', long, `${long}z`, `${long}zz`, 'x'.repeat(300), long)
  for (const status of [200, 304, 103, 599]) {
    const block = Buffer.from(headBlock(status, headers), 'latin1')
    assert.deepEqual(createHpackDecoder(options).decode(block)?.fields, [':status', String(status), ...headers])
  }
  assert.deepEqual(
    createHpackDecoder(options).decode(Buffer.from(headBlock(200, ['ETag', '"A"', 'X-Ä', 'b']), 'latin1'))?.fields,
    [':status', '200', 'etag', '"A"', 'x-ä', 'b'],
  )
  const names = Array.from({ length: 2_000 }, (_, index) => [`x-${index}`, 'v']).flat()
  const listed = createHpackDecoder({ ...options, listBytes: 1e9, listCount: 3_000 })
  for (let round = 0; round < 2; round++)
    assert.deepEqual(listed.decode(Buffer.from(headBlock(200, names), 'latin1'))?.fields.slice(2), names)
})

test('cookies set are never indexed, by any hop', () => {
  assert.equal(Buffer.from(headBlock(200, ['Set-Cookie', 'a']), 'latin1')[1]! & 0xf0, 0x10)
})

test('random bytes never do more than fail', () => {
  let state = 1
  const byte = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0
    return (state >>> 16) & 255
  }
  for (let round = 0; round < 5_000; round++) {
    const block = Buffer.from(Array.from({ length: byte() % 64 }, byte))
    createHpackDecoder(options).decode(block)
    decodeHuffman(block, 0, block.length, Buffer.alloc(128))
  }
})
