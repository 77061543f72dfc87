import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseForm } from './kv-body.ts'

function parse(form: string | Buffer): [string, string][] {
  return [...parseForm(Buffer.from(form), 'b')].map(({ name, content }) => [name, content.toString('latin1')])
}

const part = (head: string, content: string) => `--b\r\n${head}\r\n\r\n${content}\r\n`

test('a form is read byte for byte', () => {
  const value = 'Content-Disposition: form-data; name="value"'
  const metadata = 'Content-Type: application/json\r\ncontent-disposition: form-data; filename="x"; name="metadata"'
  const cases: [string, [string, string][]][] = [
    ['--b--\r\n', []],
    [`${part(value, 'v')}--b--`, [['value', 'v']]],
    [`${part(value, '')}--b--`, [['value', '']]],
    [`${part(value, 'a\r\n--c\r\n\r\n--\r\n')}--b--\r\n`, [['value', 'a\r\n--c\r\n\r\n--\r\n']]],
    [
      `${part(value, '1') + part(metadata, '{"a":1}')}--b--\r\n`,
      [
        ['value', '1'],
        ['metadata', '{"a":1}'],
      ],
    ],
  ]
  for (const [form, wanted] of cases) assert.deepEqual(parse(form), wanted)
  const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  const form = Buffer.concat([Buffer.from(`--b\r\n${value}\r\n\r\n`), every, Buffer.from('\r\n--b--\r\n')])
  assert.deepEqual(parse(form), [['value', every.toString('latin1')]])
})

test('a form cut anywhere is refused', () => {
  const form = `${part('Content-Disposition: form-data; name="value"', 'v')}--b--`
  for (let length = 0; length < form.length; length++)
    assert.throws(() => parse(form.slice(0, length)), { name: 'VendorError', status: 400 }, form.slice(0, length))
  assert.throws(() => parse(`${part('X: y', 'v')}--b--`), /no name/)
})
