import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { defaultLimits } from '#/core/limits.ts'
import { chooseChecks } from './choose-checks.ts'
import { meterModule } from './meter-module.ts'
import { readModule } from './read-module.ts'
import { rewriteModule } from './rewrite-module.ts'
import { scanCode } from './scan-code.ts'
import { fromWat, muchOfEverything } from './wat.fixture.ts'

type Run = (...args: number[]) => number

interface Metered {
  readonly exports: Record<string, Run>
  readonly stop: WebAssembly.Memory
  readonly checks: number
}

function metered(text: string): Metered {
  const prepared = rewriteModule(fromWat(text), defaultLimits)
  assert.ok(prepared.ok)
  const { whole } = prepared.value
  const stop = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
  const memory = whole.memory === undefined ? undefined : new WebAssembly.Memory(whole.memory)
  const imports = { rimward: { stop, ...(memory === undefined ? {} : { memory }) } }
  const instance = new WebAssembly.Instance(new WebAssembly.Module(whole.bytes), imports)
  return { exports: instance.exports as Record<string, Run>, stop, checks: whole.checks }
}

/** Another thread sets the word once this one has said that it is about to run. */
async function stopSoon(stop: WebAssembly.Memory, run: () => void): Promise<void> {
  const code = `const words = new Int32Array(require('node:worker_threads').workerData)
    Atomics.wait(words, 1, 0); Atomics.wait(words, 2, 0, 20); Atomics.store(words, 0, 1)`
  const worker = new Worker(code, { eval: true, workerData: stop.buffer })
  const words = new Int32Array(stop.buffer)
  try {
    Atomics.store(words, 1, 1)
    Atomics.notify(words, 1)
    run()
  } finally {
    await worker.terminate()
    Atomics.store(words, 0, 0)
  }
}

const endless: [string, string][] = [
  ['a loop', '(func (export "run") (param i32) (result i32) (loop (br_if 0 (i32.eqz (local.get 0)))) (i32.const 7))'],
  [
    'a loop that counts, with a value on the stack',
    `(func (export "run") (param i32) (result i32) (local i64)
      (loop (local.set 1 (i64.add (local.get 1) (i64.const 1))) (br_if 0 (i32.eqz (local.get 0)))) (i32.const 7))`,
  ],
  [
    'a loop behind a check at the entry, that reads memory',
    `(memory 1) (func (export "run") (param i32) (result i32) (local i32) ${'(nop)'.repeat(1001)}
      (loop (local.set 1 (i32.add (local.get 1) (i32.load (i32.const 64)))) (br_if 0 (i32.eqz (local.get 0)))) (i32.const 7))`,
  ],
  [
    'a loop that writes memory and calls what it may',
    `(memory 1) (func $leaf (param i32) (result i32) (i32.load (local.get 0)))
     (func (export "run") (param i32) (result i32)
      (loop (i32.store (i32.const 0) (call $leaf (i32.const 8))) (br_if 0 (i32.eqz (local.get 0)))) (i32.const 7))`,
  ],
  [
    'a loop that catches everything',
    `(func (export "run") (param i32) (result i32)
      (loop (try (do (loop (br_if 0 (i32.eqz (local.get 0))))) (catch_all (br 1)))) (i32.const 7))`,
  ],
  [
    'loops in loops',
    `(func (export "run") (param i32) (result i32) (local i32)
      (loop (local.set 1 (i32.const 9)) (loop (br_if 0 (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
        (br_if 0 (i32.eqz (local.get 0)))) (i32.const 7))`,
  ],
  [
    'tail calls in a circle',
    `(func $a (export "run") (param i32) (result i32) (if (local.get 0) (then (return (i32.const 7)))) (return_call $b (local.get 0)))
     (func $b (param i32) (result i32) (return_call $a (local.get 0)))`,
  ],
  [
    'tail calls through a table',
    `(type $t (func (param i32) (result i32))) (table funcref (elem $a))
     (func $a (export "run") (type $t) (if (local.get 0) (then (return (i32.const 7))))
       (return_call_indirect (type $t) (local.get 0) (i32.const 0)))`,
  ],
  [
    'a tree of calls without any loop or recursion',
    `${Array.from({ length: 60 }, (_, depth) => `(func $f${depth} (param i32) (if (i32.eqz (local.get 0)) (then (call $f${depth + 1} (local.get 0)) (call $f${depth + 1} (local.get 0)))))`).join('\n')}
     (func $f60 (param i32)) (func (export "run") (param i32) (result i32) (call $f0 (local.get 0)) (i32.const 7))`,
  ],
  [
    'bulk operations in a row',
    `(memory 1024) (func $fill (param i32) (if (i32.eqz (local.get 0)) (then
       ${'(memory.fill (i32.const 0) (i32.const 1) (i32.const 67108864))'.repeat(2000)})))
     (func (export "run") (param i32) (result i32) (call $fill (local.get 0)) (i32.const 7))`,
  ],
]

/** V8's two compilers: what each makes is run alone. */
const compilers: [string, readonly string[]][] = [
  ['the first compiler', ['--liftoff', '--no-wasm-dynamic-tiering', '--no-wasm-tier-up']],
  ['the second compiler', ['--no-liftoff']],
]

for (const [what, text] of endless)
  test(`stopped from another thread: ${what}`, { timeout: 30_000 }, async () => {
    for (const [compiler, flags] of compilers) {
      for (const flag of flags) setFlagsFromString(flag)
      try {
        const { exports, stop } = metered(`(module ${text})`)
        const run = exports.run!
        assert.equal(run(1), 7)
        await stopSoon(stop, () => assert.throws(() => run(0), { message: 'unreachable' }, compiler))
        assert.equal(run(1), 7, 'the instance of the test goes on when the word is 0 again')
      } finally {
        for (const flag of ['--liftoff', '--wasm-dynamic-tiering', '--wasm-tier-up']) setFlagsFromString(flag)
      }
    }
  })

test('nothing that was started is stopped while the word is 0, and results are what they were', () => {
  const text = `(module (memory 1) (func $fib (export "fib") (param i32) (result i32)
      (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
        (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
    (func (export "sum") (param i32) (result i32) (local i32)
      (loop (local.set 1 (i32.add (local.get 1) (local.get 0)))
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (local.get 1)))`
  const { exports } = metered(text)
  assert.equal(exports.fib!(20), 6765)
  assert.equal(exports.sum!(1000), 500_500)
})

test('indices, names and other imports stay; memory is capped', () => {
  const bytes = fromWat(muchOfEverything)
  const prepared = rewriteModule(bytes, defaultLimits)
  assert.ok(prepared.ok)
  const before = prepared.value.facts
  const after = readModule(prepared.value.whole.bytes)
  assert.ok(after.ok)
  assert.deepEqual(after.value.imports.slice(0, before.imports.length), before.imports)
  assert.deepEqual(after.value.exports.slice(0, before.exports.length), before.exports)
  assert.deepEqual(
    after.value.exports.slice(before.exports.length).map(({ name, index }) => [name, index]),
    [
      ['rimward:global:1', 1],
      ['rimward:global:2', 2],
      ['rimward:global:3', 3],
    ],
  )
  assert.equal(after.value.moduleName, 'much')
  assert.deepEqual(prepared.value.whole.memory, { initial: 2, maximum: 40 })
})

test('a name that the module exports itself is left to it', () => {
  const prepared = rewriteModule(
    fromWat('(module (global (export "rimward:global:0") (mut i32) (i32.const 1)))'),
    defaultLimits,
  )
  assert.ok(prepared.ok)
  assert.deepEqual(prepared.value.whole.globals, ['rimward:global+:0'])
  assert.ok(WebAssembly.validate(prepared.value.whole.bytes))
})

test('modules whose memory cannot be capped or restored are refused by name', () => {
  const cases: [string, string, RegExp][] = [
    ['(memory 2049)', 'memory-too-large', /2049 pages/],
    ['(memory 1) (memory 1)', 'unsupported', /more than one memory/],
    ['(import "a" "b" (memory 1))', 'unsupported', /imports a memory/],
    ['(memory 1 2 shared)', 'unsupported', /shared/],
    ['(memory i64 1)', 'unsupported', /64 bits/],
    ['(table 60000 funcref) (table 60000 funcref)', 'too-large', /120000 entries/],
    ['(func (result i32))', 'invalid', /expected 1 elements on the stack/],
  ]
  for (const [text, fault, detail] of cases) {
    const bytes = text.startsWith('(memory 1) (') ? twoMemories : fromWat(`(module ${text})`)
    const outcome = rewriteModule(bytes, defaultLimits)
    assert.ok(!outcome.ok, text)
    assert.equal(outcome.fault.fault, fault, text)
    assert.match(outcome.fault.detail, detail, text)
  }
})

test('what would be valid only with what is added is refused', () => {
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 5, 3, 1, 0, 1]
  const section = (id: number, ...content: number[]) => [id, content.length, ...content]
  const empty = section(10, 1, 2, 0, 0x0b)
  const cases: [string, number[]][] = [
    ['a store to the stop word', section(10, 1, 10, 0, 0x41, 0, 0x41, 1, 0x36, 0x42, 1, 0, 0x0b)],
    ['an export of the stop word', [...section(7, 1, 1, 0x61, 2, 1), ...empty]],
    ['data in the memory of the stop word', [...empty, ...section(11, 1, 2, 1, 0x41, 0, 0x0b, 1, 1)]],
  ]
  for (const [what, rest] of cases) {
    const bytes = Uint8Array.from([...header, ...rest])
    const outcome = rewriteModule(bytes, defaultLimits)
    assert.ok(!outcome.ok && outcome.fault.fault === 'invalid', what)
    const module = readModule(bytes)
    assert.ok(module.ok)
    const scan = scanCode(module.value)
    const whole = meterModule(module.value, scan.ok ? scan.value : assert.fail(), 2048)
    assert.ok(whole.ok && WebAssembly.validate(whole.value.bytes), `${what}: the check is needed`)
  }
})

/** The text compiler at hand knows one memory only. */
const twoMemories = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 5, 2, 0, 1, 0, 1)

test('functions are checked at their entry where calls could go on without end', () => {
  const cases: [string, string, number[]][] = [
    ['a leaf', '(func)', [0]],
    ['a caller of leaves', '(func) (func (call 0) (call 0))', [0, 0]],
    ['itself', '(func (call 0))', [1]],
    ['a circle is broken at one place', '(func (call 1)) (func (call 2)) (func (call 0))', [1, 0, 0]],
    ['a caller of nobody knows whom', '(table 1 funcref) (func (call_indirect (i32.const 0)))', [1]],
    ['much straight code', `(func ${'(nop)'.repeat(1001)})`, [1]],
    ['much by calls', `(func ${'(nop)'.repeat(400)}) (func (call 0) (call 0) (call 0))`, [0, 1]],
    ['callers of the checked', `(func ${'(nop)'.repeat(1001)}) (func (call 0) (call 0))`, [1, 0]],
  ]
  for (const [what, text, expected] of cases) {
    const module = readModule(fromWat(`(module ${text})`))
    assert.ok(module.ok)
    const scan = scanCode(module.value)
    assert.ok(scan.ok)
    assert.deepEqual([...chooseChecks(scan.value)], expected, what)
    const whole = meterModule(module.value, scan.value, 2048)
    assert.ok(whole.ok)
    assert.equal(whole.value.checks, expected.filter((one) => one === 1).length, what)
  }
})

test('a chain of a hundred thousand calls is weighed without recursion', () => {
  const count = 100_000
  const scan = {
    sizes: new Uint32Array(count).fill(2),
    indirect: new Uint8Array(count),
    callees: Uint32Array.from({ length: count - 1 }, (_, index) => index + 1),
    calleesFrom: Uint32Array.from({ length: count + 1 }, (_, index) => Math.min(index, count - 1)),
    uses: new Map(),
    entries: new Uint32Array(count),
    stops: new Uint32Array(0),
    stopsFrom: new Uint32Array(count + 1),
  }
  const checked = chooseChecks(scan)
  const places = [...checked.keys()].filter((index) => checked[index] === 1)
  assert.ok(places.length >= count / 501 - 1 && places.length <= count / 500, `${places.length}`)
})
