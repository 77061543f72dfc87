import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import type { Outcome } from './module-fault.ts'
import { readModule } from './read-module.ts'
import { rewriteModule } from './rewrite-module.ts'
import { fromWat, muchOfEverything } from './wat.fixture.ts'

const preamble = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]

function value<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) assert.fail(`${outcome.fault.fault} at ${outcome.fault.offset}: ${outcome.fault.detail}`)
  return outcome.value
}

test('a module is read with everything that it declares', () => {
  const module = value(readModule(fromWat(muchOfEverything)))
  assert.deepEqual(
    module.imports.map((one) => [one.kind, one.module, one.name]),
    [
      ['func', 'env', 'log'],
      ['global', 'env', 'base'],
    ],
  )
  const log = module.imports[0]!
  assert.deepEqual(log.kind === 'func' && module.types[log.type], { kind: 'func', params: ['i32', 'i64'], results: [] })
  assert.deepEqual(module.memories, [
    { limits: { minimum: 2, maximum: 40, shared: false, addresses64: false }, pageBytes: 65_536 },
  ])
  assert.deepEqual(
    module.globals.map(({ type, mutable }) => [type, mutable]),
    [
      ['i32', true],
      ['i64', true],
      ['f64', true],
      ['f32', false],
    ],
  )
  assert.deepEqual(
    module.exports.map(({ name, kind, index }) => [name, kind, index]),
    [
      ['memory', 'memory', 0],
      ['twice', 'func', 2],
      ['walk', 'func', 3],
    ],
  )
  assert.equal(module.start, 1)
  assert.equal(module.tags, 1)
  assert.equal(module.moduleName, 'much')
  assert.deepEqual(
    module.elements.map(({ mode, count }) => [mode, count]),
    [
      ['active', 2],
      ['declared', 1],
    ],
  )
  const [first] = module.data
  assert.equal(Buffer.from(module.bytes.subarray(first!.start, first!.end)).toString(), 'rimward')
  assert.equal(module.functions.length, 3)
})

test('what is no core module is refused by name and offset', () => {
  const section = (id: number, ...content: number[]) => [...preamble, id, content.length, ...content]
  const cases: [string, number[], string, number][] = [
    ['nothing', [], 'not-wasm', 0],
    ['text', [...Buffer.from('(module)')], 'not-wasm', 0],
    ['a preamble cut short', preamble.slice(0, 6), 'truncated', 6],
    ['a component', [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00], 'component', 4],
    ['another version', [0x00, 0x61, 0x73, 0x6d, 0x02, 0x00, 0x00, 0x00], 'unsupported', 4],
    ['a section longer than the module', [...preamble, 1, 5, 0], 'truncated', 10],
    ['a section that is not known', section(42), 'malformed', 8],
    ['sections out of order', [...section(3, 0), 1, 1, 0], 'malformed', 11],
    ['more types than bytes', section(1, 0xff, 0xff, 0xff, 0xff, 0x0f), 'truncated', 10],
    ['a count of six bytes', section(1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00), 'malformed', 10],
    ['a count above 32 bits', section(1, 0x80, 0x80, 0x80, 0x80, 0x10), 'malformed', 10],
    ['bytes behind the last entry', section(1, 0, 0), 'malformed', 11],
    ['a value type that is not known', section(1, 1, 0x60, 1, 0x01, 0), 'malformed', 13],
    ['functions without code', section(3, 1, 0), 'malformed', 0],
    ['a name that is not UTF-8', section(2, 1, 1, 0xff, 0, 0, 0), 'malformed', 11],
    ['an import of no kind', section(2, 1, 0, 0, 9, 0), 'malformed', 13],
    ['an unknown instruction in a constant', section(6, 1, 0x7f, 0, 0xfe, 0x7f, 0x0b), 'unknown-opcode', 13],
  ]
  for (const [what, bytes, fault, offset] of cases) {
    const outcome = readModule(Uint8Array.from(bytes))
    assert.equal(outcome.ok, false, what)
    if (!outcome.ok) assert.deepEqual([outcome.fault.fault, outcome.fault.offset], [fault, offset], what)
  }
})

test('custom sections that cannot be read count as absent', () => {
  const outcome = readModule(Uint8Array.from([...preamble, 0, 7, 4, ...Buffer.from('name'), 0, 99]))
  assert.equal(value(outcome).moduleName, undefined)
})

/** What the engine takes is read, and what is written from it the engine takes too; nothing is ever thrown. */
function holdAgainstEngine(bytes: Uint8Array): 'refused' | 'taken' {
  const prepared = rewriteModule(bytes, defaultLimits)
  if (!prepared.ok) {
    const known = ['unknown-opcode', 'unsupported', 'memory-too-large', 'too-large', 'component']
    const valid = WebAssembly.validate(bytes)
    assert.ok(!valid || known.includes(prepared.fault.fault), `valid, but ${JSON.stringify(prepared.fault)}`)
    return 'refused'
  }
  assert.ok(WebAssembly.validate(bytes))
  const { whole, kept } = prepared.value
  assert.ok(WebAssembly.validate(whole.bytes), `metered: ${Buffer.from(bytes).toString('hex')}`)
  if (kept.ok) assert.ok(WebAssembly.validate(kept.code.bytes), `split: ${Buffer.from(bytes).toString('hex')}`)
  return 'taken'
}

test('no module cut short and no flipped byte is taken for more than it is', () => {
  const bytes = fromWat(muchOfEverything)
  assert.equal(holdAgainstEngine(bytes), 'taken')
  for (let length = 0; length < bytes.length; length++) holdAgainstEngine(bytes.slice(0, length))
  let taken = 0
  for (let at = 0; at < bytes.length; at++)
    for (const other of [0x00, 0x01, 0x0b, 0x40, 0x63, 0x7f, 0x80, 0xff, bytes[at]! ^ 0x04, bytes[at]! + 1]) {
      const flipped = bytes.slice()
      flipped[at] = other
      if (holdAgainstEngine(flipped) === 'taken') taken++
    }
  assert.ok(taken > 100, `${taken} mutants are valid: the property is tested on enough`)
})
