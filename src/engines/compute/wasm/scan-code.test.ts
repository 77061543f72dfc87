import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteReader } from './byte-reader.ts'
import { faultsAsValues } from './module-fault.ts'
import { readModule } from './read-module.ts'
import { type CodeScan, scanCode } from './scan-code.ts'
import { skipInstruction } from './skip-instruction.ts'
import { fromWat } from './wat.fixture.ts'

function scanOf(text: string): CodeScan {
  const module = readModule(fromWat(text))
  assert.ok(module.ok)
  const scan = scanCode(module.value)
  assert.ok(scan.ok)
  return scan.value
}

test('each use that keeps state or needs memory is found', () => {
  const parts = '(memory 1) (table 2 funcref) (data $d "x") (elem $e func $f) (func $f)'
  const cases: [string, string[]][] = [
    ['(func (drop (i32.load (i32.const 0))))', []],
    ['(func (table.set (i32.const 0) (ref.null func)))', ['table-write']],
    ['(func (drop (table.grow (ref.null func) (i32.const 1))))', ['table-write']],
    ['(func (table.fill (i32.const 0) (ref.null func) (i32.const 1)))', ['table-write']],
    ['(func (table.copy (i32.const 0) (i32.const 0) (i32.const 1)))', ['table-write']],
    ['(func (table.init $e (i32.const 0) (i32.const 0) (i32.const 1)))', ['table-write']],
    ['(func (elem.drop $e))', ['element-drop']],
    ['(func (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)))', ['data-segment']],
    ['(func (data.drop $d))', ['data-segment']],
    ['(func (drop (memory.grow (i32.const 0))))', ['memory-grow']],
    ['(func (memory.copy (i32.const 0) (i32.const 0) (i32.const 0)) (drop (table.get (i32.const 0))))', []],
  ]
  for (const [code, uses] of cases) assert.deepEqual([...scanOf(`(module ${parts} ${code})`).uses.keys()], uses, code)
})

test('loops, bulk operations and calls are told function by function', () => {
  const scan = scanOf(`(module (import "a" "b" (func $host)) (memory 1) (table 1 funcref) (type $t (func))
    (func $leaf nop)
    (func $loops (loop (loop)) (memory.fill (i32.const 0) (i32.const 0) (i32.const 9)))
    (func $calls (call $host) (call $leaf) (call $calls) (call $leaf))
    (func $blind (call_indirect (type $t) (i32.const 0))))`)
  assert.deepEqual([...scan.stopsFrom], [0, 0, 3, 3, 3])
  assert.deepEqual([...scan.callees], [0, 2, 0])
  assert.deepEqual([...scan.calleesFrom], [0, 0, 0, 3, 3])
  assert.deepEqual([...scan.indirect], [0, 0, 0, 1])
  assert.deepEqual([...scan.sizes], [2, 9, 5, 3])
})

/** Whether V8 knows the instruction; what it offers behind a flag only counts as unknown. */
function knownToEngine(opcode: readonly number[]): boolean {
  const body = [0, ...opcode, ...new Array(30).fill(0)]
  const bytes = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, body.length + 2, 1, body.length]
  try {
    new WebAssembly.Module(Uint8Array.from([...bytes, ...body]))
    return true
  } catch (thrown) {
    return !/invalid( \w+)* opcode|Invalid opcode|invalid numeric opcode|enable with/i.test((thrown as Error).message)
  }
}

test('the table of instructions and V8 know the same ones', () => {
  const leb = (value: number) => (value < 128 ? [value] : [(value & 0x7f) | 0x80, value >> 7])
  const all = [
    ...Array.from({ length: 0xfb }, (_, code) => [code]),
    [0xff],
    ...[0xfb, 0xfc, 0xfd, 0xfe].flatMap((prefix) => Array.from({ length: 0x180 }, (_, code) => [prefix, ...leb(code)])),
  ]
  const differ = all.filter((opcode) => {
    const reader = new ByteReader(Uint8Array.from([...opcode, ...new Array(40).fill(0)]), 0, 40)
    const outcome = faultsAsValues(() => skipInstruction(reader))
    return knownToEngine(opcode) !== outcome.ok
  })
  // Of custom descriptors, a proposal that V8 has switched off, it reads two operands before it says so.
  assert.deepEqual(
    differ.map((opcode) => Buffer.from(opcode).toString('hex')),
    ['fb20', 'fb21'],
  )
})
