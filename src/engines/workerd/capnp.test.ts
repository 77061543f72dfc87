import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CapnpValue, capnpText } from './capnp.ts'

const cases: [CapnpValue, string][] = [
  ['plain é 🦀', '"plain é 🦀"'],
  ['a"b\\c\nd\re\tf', '"a\\"b\\\\c\\nd\\re\\tf"'],
  ['\u0000\u0001\u007f', '"\\x00\\x01\\x7f"'],
  ['const x = "/* # */"', '"const x = \\"/* # */\\""'],
  [7, '7'],
  [true, 'true'],
  [null, 'void'],
  [['a', 1], '["a",\n1]'],
  [[], '[]'],
  [{ name: 'a', worker: { modules: [] }, left: undefined }, '(name = "a", worker = (modules = []))'],
  [{ text: { embed: 'm-1"' } }, '(text = embed "m-1\\"")'],
  [{ style: { enumerant: 'proxy' } }, '(style = proxy)'],
]

for (const [value, text] of cases) test(`literal ${text}`, () => assert.equal(capnpText(value), text))
