/** Signatures, by the examples that AWS publishes («Authenticating Requests: Using the Authorization Header», S3 API). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canonicalRequest, sha256, sign, signingKey } from './signature.ts'
import { readChunks } from './signed-chunks.ts'

const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
const scope = { day: '20130524', region: 'us-east-1', service: 's3' }
const time = '20130524T000000Z'
const key = signingKey(secret, scope)
const emptyHash = sha256('')
const host = 'examplebucket.s3.amazonaws.com'

const requests = [
  {
    method: 'GET',
    path: '/test.txt',
    query: [],
    fields: { host, range: 'bytes=0-9', 'x-amz-content-sha256': emptyHash, 'x-amz-date': time },
    payload: emptyHash,
    signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
  {
    method: 'PUT',
    path: '/test$file.text',
    query: [],
    fields: {
      date: 'Fri, 24 May 2013 00:00:00 GMT',
      host,
      'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
      'x-amz-date': time,
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    },
    payload: '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
    signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  },
  {
    method: 'GET',
    path: '/',
    query: [
      ['max-keys', '2'],
      ['prefix', 'J'],
    ],
    fields: { host, 'x-amz-content-sha256': emptyHash, 'x-amz-date': time },
    payload: emptyHash,
    signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  },
] as const

test('heads are signed as in the examples', () => {
  for (const { fields, signature, ...request } of requests) {
    const header = (name: string) => (fields as Record<string, string>)[name]
    const canonical = canonicalRequest({ ...request, header, signedHeaders: Object.keys(fields).toSorted() })
    assert.equal(sign(key, 'AWS4-HMAC-SHA256', time, scope, sha256(canonical)), signature)
  }
})

const chunkSignatures = [
  ['a'.repeat(65_536), 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648'],
  ['a'.repeat(1024), '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497'],
  ['', 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9'],
] as const
const signer = {
  ...{ key, time, scope },
  signature: '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
}
const wire = (end = '\r\n') =>
  chunkSignatures
    .map(([data, signature]) => `${data.length.toString(16)};chunk-signature=${signature}\r\n${data}\r\n`)
    .join('')
    .slice(0, -2) + end

/** In pieces of a size that falls anywhere. */
async function* pieces(text: string, size: number) {
  for (let at = 0; at < text.length; at += size) yield Buffer.from(text.slice(at, at + size))
}

async function decoded(text: string, size: number, signed = true): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of readChunks(pieces(text, size), signed ? signer : undefined, () => {})) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('chunks are signed as in the example, however they arrive; one byte of another is refused', async () => {
  for (const size of [1_000_000, 70_000, 1021, 87])
    assert.equal(await decoded(wire(), size), 'a'.repeat(66_560), `${size}`)
  const bad: [text: string, says: RegExp][] = [
    [wire().replace('aaaa', 'aaba'), /signature of a chunk/],
    [wire().replace('ad80', 'ad81'), /signature of a chunk/],
    [wire().slice(0, 50_000), /number of bytes/],
    [wire().slice(0, -90), /number of bytes/],
    [wire().replace(';chunk-signature', ';something'), /not in chunks/],
    [`${'1'.repeat(2000)}`, /not in chunks/],
    ['zz\r\n', /not in chunks/],
  ]
  for (const [text, says] of bad) await assert.rejects(decoded(text, 4096), says)
  await assert.rejects(decoded(wire(), 4096, false), /not in chunks/)
})

test('trailers come behind chunks', async () => {
  const seen: string[] = []
  const text = '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n'
  const chunks = readChunks(pieces(text, 3), undefined, (name, value) => void seen.push(name, value))
  assert.equal(Buffer.concat(await Array.fromAsync(chunks)).toString(), 'hello')
  assert.deepEqual(seen, ['x-amz-checksum-crc32', 'NhCmhg=='])
})

/** «Signature calculations: trailing headers», AWS's example: the checksum behind the chunks has a signature of its own. */
test('signed trailers are signed as in the example; one that is changed, or unsigned, is refused', async () => {
  const seed = { ...signer, signature: '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e' }
  const chunkOf = (data: string, signature: string) =>
    `${data.length.toString(16)};chunk-signature=${signature}\r\n${data}\r\n`
  const text = [
    chunkOf('a'.repeat(65_536), 'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2'),
    chunkOf('a'.repeat(1024), '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7'),
    '0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n',
    'x-amz-checksum-crc32c:sOO8/Q==\r\n',
    'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n',
  ].join('')
  const read = async (sent: string) => {
    const seen: string[] = []
    let bytes = 0
    for await (const chunk of readChunks(pieces(sent, 1021), seed, (name, value) => void seen.push(name, value)))
      bytes += chunk.length
    return [bytes, ...seen]
  }
  assert.deepEqual(await read(text), [66_560, 'x-amz-checksum-crc32c', 'sOO8/Q=='])
  for (const bad of [text.replace('sOO8', 'sOO9'), text.replace(/x-amz-trailer-signature.*\r\n/, '')])
    await assert.rejects(read(bad), /signature of a chunk/)
})
