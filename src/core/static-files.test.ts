import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isStaticExtension, typeFitsExtension } from './static-files.ts'

const table: readonly (readonly [extension: string, type: string | undefined, fits: boolean])[] = [
  ['css', 'text/css; charset=utf-8', true],
  ['css', 'TEXT/CSS', true],
  ['css', 'text/html', false],
  ['css', undefined, false],
  ['css', 'application/octet-stream', true],
  ['js', 'application/javascript', true],
  ['js', 'application/json', false],
  ['png', 'image/webp', true],
  ['png', 'text/html', false],
  ['svg', 'image/svg+xml', true],
  ['pdf', 'application/pdf', true],
  ['pdf', 'application/json; charset=utf-8', false],
  ['docx', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document', true],
  ['zip', 'application/xhtml+xml', false],
  ['zip', 'application/problem+json', false],
  ['exe', 'application/xml', false],
  ['mp4', 'video/mp4', true],
  ['woff2', 'font/woff2', true],
  ['html', 'text/html', true],
  ['', 'text/html', true],
]

for (const [extension, type, fits] of table)
  test(`.${extension} as ${type} ${fits ? 'fits' : 'does not'}`, () => {
    assert.equal(typeFitsExtension(extension, type), fits)
  })

test('pages are no files', () => {
  for (const extension of ['html', 'htm', 'php', 'json', 'xml', '', 'constructor', '__proto__'])
    assert.equal(isStaticExtension(extension), false, extension)
})
