import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import {
  brotliCompressSync,
  brotliDecompressSync,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import { headerValue } from '#/http/header-list.ts'
import { createCompressor } from './compress.ts'

const page = Buffer.from('<p>a page that says the same again and again</p>\n'.repeat(400))
const html: HeaderList = ['content-type', 'text/html; charset=utf-8', 'etag', '"one"']
const decoded: Record<string, (bytes: Uint8Array) => Buffer> = {
  gzip: gunzipSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
  none: (bytes) => Buffer.from(bytes),
}

interface Coded {
  readonly coding: string
  readonly vary: string | undefined
  readonly etag: string | undefined
  readonly length: string | undefined
  readonly body: Buffer
  readonly sent: number
}

async function read(answer: Answer): Promise<Coded> {
  const { body, headers } = answer
  const bytes = body === null ? Buffer.alloc(0) : Buffer.from(body instanceof Uint8Array ? body : await whole(body))
  const coding = headerValue(headers, 'content-encoding') ?? 'none'
  return {
    coding,
    vary: headerValue(headers, 'vary'),
    etag: headerValue(headers, 'etag'),
    length: headerValue(headers, 'content-length'),
    body: bytes.length === 0 ? bytes : decoded[coding]!(bytes),
    sent: bytes.length,
  }
}

async function whole(stream: Readable): Promise<Buffer> {
  return Buffer.concat(await stream.toArray())
}

function get(accept: string | undefined, more: HeaderList = []) {
  return { method: 'GET', headers: accept === undefined ? more : ['accept-encoding', accept, ...more] }
}

function compressor(more: Partial<Limits> = {}) {
  return createCompressor({ limits: { ...defaultLimits, ...more } })
}

test('every coding decodes to the same bytes, whole and streamed', async () => {
  const { encode } = compressor()
  for (const [accept, coding] of [
    ['gzip', 'gzip'],
    ['gzip, br', 'br'],
    ['gzip, deflate, br, zstd', 'zstd'],
    ['identity', 'none'],
    [undefined, 'none'],
  ] as const)
    for (const body of [page, Readable.from([page.subarray(0, 100), page.subarray(100)], { objectMode: false })]) {
      const coded = await read(await encode({ status: 200, headers: html, body }, get(accept)))
      assert.equal(coded.coding, coding)
      assert.equal(coded.vary, 'accept-encoding')
      assert.equal(coded.etag, coding === 'none' ? '"one"' : 'W/"one"')
      assert.deepEqual(coded.body, page)
      if (coding !== 'none') assert.ok(coded.sent < page.length / 5, `${coded.sent} bytes`)
    }
})

test('what is left alone, and why', async () => {
  const { encode } = compressor()
  const table: [string, Partial<Answer>, HeaderList?][] = [
    ['an image', { headers: ['content-type', 'image/png'] }],
    ['no type', { headers: [] }],
    ['events', { headers: ['content-type', 'text/event-stream'] }],
    ['a part', { status: 206, headers: [...html, 'content-range', 'bytes 0-9/10'] }],
    ['an error of the origin', { status: 500 }],
    ['a small body', { body: Buffer.from('hello') }],
    ['no-transform', { headers: [...html, 'cache-control', 'public, no-transform'] }],
    ['no-transform asked for', {}, ['cache-control', 'no-transform']],
    ['a digest of these bytes', { headers: [...html, 'content-digest', 'sha-256=:AA==:'] }],
    ['coded already', { headers: [...html, 'content-encoding', 'br'] }],
    ['in a coding that we do not know', { headers: [...html, 'content-encoding', 'compress'] }],
  ]
  for (const [what, change, asked] of table) {
    const answer: Answer = { status: 200, headers: html, body: page, ...change }
    assert.equal(encode(answer, get('gzip, br', asked)), answer, what)
  }
})

test('a client that refuses plain bytes gets small bodies coded', async () => {
  const coded = await read(
    await compressor().encode({ status: 200, headers: html, body: Buffer.from('hello') }, get('identity;q=0, gzip')),
  )
  assert.deepEqual([coded.coding, String(coded.body)], ['gzip', 'hello'])
})

test('coded answers are decoded for who cannot read them', async () => {
  const { encode } = compressor()
  const sources = { gzip: gzipSync(page), br: brotliCompressSync(page), zstd: zstdCompressSync(page) }
  for (const [coding, body] of Object.entries(sources))
    for (const [accept, expected] of [
      [undefined, 'none'],
      ['identity', 'none'],
      ['br', 'br'],
      ['gzip', 'gzip'],
      ['deflate', 'none'],
    ] as const) {
      const headers = [...html, 'Content-Encoding', coding, 'content-length', String(body.length)]
      for (const given of [body, Readable.from([body], { objectMode: false })]) {
        const coded = await read(await encode({ status: 200, headers, body: given }, get(accept)))
        assert.equal(coded.coding, expected, `${coding} for ${accept}`)
        assert.deepEqual(coded.body, page)
        if (coding !== expected) assert.equal(coded.length, undefined)
      }
    }
})

test('HEAD says what GET says', async () => {
  const { encode } = compressor()
  for (const length of [20, page.length]) {
    const headers = [...html, 'content-length', String(length)]
    const request = { method: 'HEAD', headers: ['accept-encoding', 'gzip'] }
    const head = await read(await encode({ status: 200, headers, body: null }, request))
    const body = page.subarray(0, length)
    const full = await read(await encode({ status: 200, headers, body }, get('gzip')))
    assert.deepEqual([head.coding, head.vary, head.etag], [full.coding, full.vary, full.etag])
    assert.equal(head.length, length === 20 ? '20' : undefined)
  }
})

test('a body that comes again is encoded once, and kept bytes are bounded', async () => {
  const one = compressor()
  const { encode } = one
  const answer: Answer = { status: 200, headers: html, body: page }
  const first = (await encode(answer, get('gzip'))).body
  const second = (await encode(answer, get('gzip'))).body
  const third = encode(answer, get('gzip'))
  assert.ok(!(third instanceof Promise), 'the third needs no encoder')
  assert.equal(third.body, second)
  assert.notEqual(first, second)
  assert.equal(one.facts.keptBytes, (second as Uint8Array).length)

  const together = await Promise.all([encode(answer, get('br')), encode(answer, get('br'))])
  assert.equal(together[0].body, together[1].body)

  const tiny = compressor({ compressKeptBytes: 1 })
  for (let times = 0; times < 3; times++) await tiny.encode(answer, get('gzip'))
  assert.equal(tiny.facts.keptBytes, 0)
})

test('with all encoders busy answers go out plain, and decoding still works', async () => {
  const one = compressor({ compressStreams: 1 })
  const { encode } = one
  const slow = new Readable({ read() {} })
  const first = await encode({ status: 200, headers: html, body: slow }, get('gzip'))
  assert.equal(one.facts.busy, 1)
  const plain = await read(await encode({ status: 200, headers: html, body: page }, get('gzip')))
  assert.deepEqual([plain.coding, plain.vary], ['none', 'accept-encoding'])
  const zipped = { status: 200, headers: [...html, 'content-encoding', 'gzip'], body: gzipSync(page) }
  assert.deepEqual((await read(await encode(zipped, get('identity')))).body, page)
  slow.push(page)
  slow.push(null)
  assert.deepEqual((await read(first)).body, page)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(one.facts.busy, 0)
})

test('pieces of a streamed page leave while the next are awaited', async () => {
  const { encode } = compressor()
  for (const coding of ['gzip', 'br', 'zstd']) {
    const source = new Readable({ read() {} })
    const { body } = await encode({ status: 200, headers: html, body: source }, get(coding))
    const parts = (body as Readable)[Symbol.asyncIterator]()
    for (const piece of ['first', 'second', 'third']) {
      source.push(`<p>${piece}</p>`)
      const { value } = await parts.next()
      assert.ok((value as Buffer).length > 0, `${coding} ${piece}`)
    }
    ;(body as Readable).destroy()
    await new Promise((resolve) => source.once('close', resolve))
  }
})

test('a source that breaks off breaks the answer, and so do bytes that are not what they claim', async () => {
  const one = compressor()
  const { encode } = one
  const source = new Readable({ read() {} })
  const { body } = await encode({ status: 200, headers: html, body: source }, get('gzip'))
  source.push(page)
  source.destroy(new Error('origin gone'))
  await assert.rejects(whole(body as Readable), /origin gone/)
  const forged = { status: 200, headers: [...html, 'content-encoding', 'gzip'], body: page }
  await assert.rejects(whole((await encode(forged, get('identity'))).body as Readable), { code: 'Z_DATA_ERROR' })
  assert.equal(one.facts.busy, 0)
})

test('the headers of the answer given are not changed', async () => {
  const headers = [...html, 'Vary', 'Cookie', 'Accept-Ranges', 'bytes']
  const before = [...headers]
  const coded = await compressor().encode({ status: 200, headers, body: page }, get('gzip'))
  assert.deepEqual(headers, before)
  assert.deepEqual(coded.headers, [
    'content-type',
    'text/html; charset=utf-8',
    'etag',
    'W/"one"',
    'Vary',
    'Cookie',
    'content-encoding',
    'gzip',
    'vary',
    'accept-encoding',
  ])
})
