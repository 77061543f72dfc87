import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VendorError } from './envelope.ts'
import { boundaryOf, readMultipart } from './multipart.ts'

async function* inPieces(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function readAll(body: Buffer, boundary: string, size: number) {
  const parts: [string, string | undefined, string, string][] = []
  for await (const part of readMultipart(inPieces(body, size), boundary)) {
    const held: Uint8Array[] = []
    for await (const chunk of part.body) held.push(Uint8Array.from(chunk))
    parts.push([part.name, part.filename, part.type, Buffer.concat(held).toString('latin1')])
  }
  return parts
}

test('what FormData writes is read the same, however it is cut into pieces', async () => {
  const binary = Buffer.from(Array.from({ length: 700 }, (_, index) => (index * 7) % 256)).toString('latin1')
  const nearly = '\r\n--\r\n------formdata\r\n\r\n--'
  const form = new FormData()
  form.set('metadata', '{"a":1}')
  form.set('a "quoted"\nname', new File([Buffer.from(binary, 'latin1')], 'x.wasm', { type: 'application/wasm' }))
  form.set('./empty.txt', new File([], './empty.txt', { type: 'text/plain; charset=utf-8' }))
  form.set('nearly', new File([nearly], 'nearly'))
  const response = new Response(form)
  const boundary = boundaryOf(response.headers.get('content-type')!)
  const body = Buffer.from(await response.arrayBuffer())
  for (const size of [1, 2, 3, 7, 64, 1000, body.length]) {
    const parts = await readAll(body, boundary, size)
    assert.deepEqual(
      parts.map(([name]) => name),
      ['metadata', 'a "quoted"\r\nname', './empty.txt', 'nearly'],
    )
    assert.deepEqual(parts[0], ['metadata', undefined, '', '{"a":1}'])
    assert.deepEqual(parts[1]!.slice(1), ['x.wasm', 'application/wasm', binary])
    assert.deepEqual(parts[2]!.slice(1), ['./empty.txt', 'text/plain', ''])
    assert.equal(parts[3]![3], nearly)
  }
})

test('every truncation is told apart from a whole body', async () => {
  const whole = Buffer.from('--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nhello\r\n--B--\r\n')
  const end = whole.indexOf('--B--') + 5
  for (let length = 0; length < end; length += 1)
    await assert.rejects(
      readAll(whole.subarray(0, length), 'B', 16),
      (error) => error instanceof VendorError && error.status === 400,
    )
  for (let length = end; length <= whole.length; length += 1)
    assert.deepEqual(await readAll(whole.subarray(0, length), 'B', 16), [['a', undefined, '', 'hello']])
})

const types: [type: string | undefined, boundary: string | undefined][] = [
  ['multipart/form-data; boundary=B', 'B'],
  ['Multipart/Form-Data;boundary="a b"', 'a b'],
  ['multipart/form-data; charset=utf-8; boundary=B', 'B'],
  ['multipart/form-data', undefined],
  ['multipart/form-data; boundary=', undefined],
  [`multipart/form-data; boundary=${'x'.repeat(71)}`, undefined],
  ['multipart/mixed; boundary=B', undefined],
  ['application/json', undefined],
  [undefined, undefined],
]

for (const [type, boundary] of types)
  test(`boundary of ${type}`, () => {
    if (boundary === undefined) assert.throws(() => boundaryOf(type), VendorError)
    else assert.equal(boundaryOf(type), boundary)
  })
