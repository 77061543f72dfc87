import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { defaultLimits } from '#/core/limits.ts'
import {
  bindImage,
  type ImageSource,
  type KeptInstance,
  openBlank,
  openImageSource,
  type ResetStrategy,
} from './reset-instance.ts'
import { type RewrittenModule, rewriteModule } from './rewrite-module.ts'
import { missingPageScan, openPageScan, type PageScan } from './scan-pages.ts'
import { type StateImage, takeImage } from './take-image.ts'
import { fromWat } from './wat.fixture.ts'

const stop = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })

function prepare(text: string): RewrittenModule {
  const prepared = rewriteModule(fromWat(text), defaultLimits)
  assert.ok(prepared.ok)
  return prepared.value
}

function imageOf(program: RewrittenModule): StateImage {
  const outcome = takeImage(new WebAssembly.Module(program.whole.bytes), program, stop)
  assert.ok(outcome.ok)
  return outcome.image
}

function open(program: RewrittenModule, source: ImageSource): KeptInstance {
  assert.ok(program.kept.ok)
  const blank = openBlank({
    module: new WebAssembly.Module(program.kept.code.bytes),
    globals: program.whole.globals,
    memory: program.whole.memory,
    imports: (memory) => ({ rimward: { stop, ...(memory === undefined ? {} : { memory }) } }),
  })
  const kept = bindImage(blank, source)
  assert.ok(kept !== undefined)
  return kept
}

const opened = openPageScan({ computeDropPages: 64 })
const scan: PageScan | undefined = opened.ok ? opened.scan : undefined
const strategies: ResetStrategy[] = ['copy', 'compare', ...(scan === undefined ? [] : (['pages'] as const))]

function sourceOf(state: StateImage, strategy: ResetStrategy): ImageSource {
  if (strategy !== 'pages') return { state, strategy, mapped: undefined }
  const mapped = scan!.openImage(state.memory)!
  return { state: { ...state, memory: mapped.bytes }, strategy, mapped }
}

/** A program that tells what it finds and leaves something wherever it can. */
const remembering = `(module
  (memory 40 64)
  (global $a (mut i32) (i32.const 5)) (global $b (mut i64) (i64.const -6))
  (global $c (mut f32) (f32.const 0.25)) (global $d (mut f64) (f64.const -1e300))
  (table 2 funcref) (elem (i32.const 1) $one)
  (data (i32.const 100) "here") (data (i32.const 2621436) "last")
  (start $start)
  (func $start (i32.store (i32.const 2000000) (i32.const 77)))
  (func $one (result i32) (i32.const 1))
  (func (export "remember") (result f64) (local $found f64)
    (local.set $found (f64.add (f64.convert_i32_s (i32.add (global.get $a) (i32.load (i32.const 2000000))))
      (f64.add (f64.convert_i64_s (global.get $b)) (f64.add (f64.promote_f32 (global.get $c)) (global.get $d)))))
    (local.set $found (f64.add (local.get $found) (f64.convert_i32_s (i32.add (i32.load (i32.const 100))
      (i32.add (i32.load (i32.const 500000)) (memory.size))))))
    (global.set $a (i32.const 1)) (global.set $b (i64.const 2)) (global.set $c (f32.const 3)) (global.set $d (f64.const 4))
    (i32.store (i32.const 2000000) (i32.const 1)) (i32.store (i32.const 100) (i32.const 1))
    (i32.store (i32.const 500000) (i32.const 1)) (i32.store8 (i32.const 2621439) (i32.const 1))
    (local.get $found))
  (func (export "write") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`

function fillMost(kept: KeptInstance): void {
  ;(kept.instance.exports.fill as (...args: number[]) => void)(65_536, 0xee, 35 * 65_536)
}

function equal(kept: KeptInstance, image: StateImage, what: string): void {
  assert.equal(Buffer.compare(new Uint8Array(kept.memory!.buffer), image.memory), 0, what)
}

for (const strategy of strategies) {
  test(`${strategy}: a program that tries to remember finds a new instance each time`, () => {
    const program = prepare(remembering)
    const image = imageOf(program)
    const kept = open(program, sourceOf(image, strategy))
    equal(kept, image, 'before the first request')
    const remember = kept.instance.exports.remember as () => number
    const first = remember()
    const dirty = remember()
    assert.notEqual(dirty, first, 'it does remember without a reset')
    for (let request = 0; request < 50; request++) {
      const outcome = kept.reset()
      assert.ok(outcome.ok)
      equal(kept, image, `after request ${request}`)
      assert.equal(remember(), first)
    }
  })

  test(`${strategy}: memory equals the image after any writes`, () => {
    const program = prepare(remembering)
    const image = imageOf(program)
    const kept = open(program, sourceOf(image, strategy))
    const write = kept.instance.exports.write as (at: number, value: number) => void
    let seed = 42
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
      return Math.floor((seed / 2 ** 32) * below)
    }
    for (let round = 0; round < 200; round++) {
      for (let left = random(300); left > 0; left--) write(random(image.memory.length), random(256))
      if (round % 50 === 49) fillMost(kept)
      assert.ok(kept.reset().ok)
      equal(kept, image, `round ${round}`)
    }
  })

  test(`${strategy}: an instance whose memory grew is dropped, growth of nothing is none`, () => {
    const program = prepare(remembering)
    const kept = open(program, sourceOf(imageOf(program), strategy))
    const grow = kept.instance.exports.grow as (pages: number) => number
    assert.equal(grow(0), 40)
    fillMost(kept)
    assert.ok(kept.reset().ok)
    equal(kept, imageOf(program), 'after growth of nothing')
    assert.equal(grow(1), 40)
    assert.deepEqual(kept.reset(), { ok: false, why: 'memory-grew' })
  })

  test(`${strategy}: instances of one image do not see each other`, () => {
    const program = prepare(remembering)
    const image = imageOf(program)
    const source = sourceOf(image, strategy)
    const [one, two] = [open(program, source), open(program, source)]
    fillMost(one)
    equal(two, image, 'the neighbour')
    source.mapped?.close()
    assert.ok(one.reset().ok)
    equal(one, image, 'itself, after the image was closed for new instances')
  })
}

test('a small image is copied, a large one goes by pages where the kernel tells them', () => {
  const state = (pages: number): StateImage => ({ memory: new Uint8Array(pages * 65_536), globals: [] })
  assert.equal(openImageSource(state(2), scan).strategy, 'copy')
  assert.equal(openImageSource(state(100), undefined).strategy, 'copy')
  if (scan !== undefined) assert.equal(openImageSource(state(100), scan).strategy, 'pages')
  else assert.ok(!opened.ok && opened.why.length > 0)
})

test('a program without memory is put back by its globals', () => {
  const program = prepare(`(module (global $n (mut i32) (i32.const 0))
    (func (export "count") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))`)
  const kept = open(program, openImageSource(imageOf(program), scan))
  for (let request = 0; request < 3; request++) {
    assert.equal((kept.instance.exports.count as () => number)(), 1)
    assert.deepEqual(kept.reset(), { ok: true, bytes: 0 })
  }
})

test('what memory and numbers do not hold makes a module not resettable, with the reason', () => {
  const cases: [string, string[]][] = [
    ['(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))', ['table-write']],
    ['(global (mut externref) (ref.null extern))', ['mutable-reference']],
    ['(global (mut v128) (v128.const i64x2 0 0))', ['mutable-reference']],
    ['(import "a" "g" (global (mut i32)))', ['imported-global']],
    ['(import "a" "t" (table 1 funcref))', ['imported-table']],
    ['(memory 1) (data "x") (func (data.drop 0))', ['data-segment']],
    [
      '(memory 1) (data (i32.const 0) "x") (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0)))',
      ['data-segment'],
    ],
    ['(table 1 funcref) (elem func) (func (elem.drop 0))', ['element-drop']],
    ['(import "a" "g" (global i32)) (table 1 funcref) (func (drop (table.get (i32.const 0))))', []],
  ]
  for (const [text, reasons] of cases) {
    const { kept } = prepare(`(module ${text})`)
    assert.deepEqual(kept.ok ? [] : kept.reasons.map((reason) => reason.why), reasons, text)
  }
})

test('objects of the collector are refused: no memory limit holds them, and a constant may hold one that changes', () => {
  // (module (type (struct (field (mut i32)))) (global (ref 0) (struct.new 0 (i32.const 1))))
  const bytes = [1, 5, 1, 0x5f, 1, 0x7f, 1, 6, 10, 1, 0x64, 0, 0, 0x41, 1, 0xfb, 0, 0, 0x0b]
  const module = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...bytes)
  assert.ok(WebAssembly.validate(module))
  const prepared = rewriteModule(module, defaultLimits)
  assert.ok(!prepared.ok && prepared.fault.fault === 'unsupported')
  assert.match(prepared.fault.detail, /struct or array types/)
})

test('a start function that reaches out, traps or grows the memory leaves no image', () => {
  const cases: [string, string][] = [
    ['(import "env" "f" (func $f)) (start $s) (func $s (call $f))', 'start-calls-host'],
    ['(import "env" "f" (func $f)) (start $s) (func $s (try (do (call $f)) (catch_all)))', 'start-calls-host'],
    ['(start $s) (func $s unreachable)', 'start-trapped'],
    ['(memory 1) (start $s) (func $s (drop (memory.grow (i32.const 1))))', 'start-grew-memory'],
  ]
  for (const [text, why] of cases) {
    const program = prepare(`(module ${text})`)
    const outcome = takeImage(new WebAssembly.Module(program.whole.bytes), program, stop)
    assert.equal(outcome.ok ? 'image' : outcome.why, why, text)
  }
})

test('programs that differ in data, first values and memory size only have the same code', () => {
  const program = (text: string, value: number, pages: number) =>
    prepare(`(module (memory ${pages}) (global (mut i32) (i32.const ${value})) (data (i32.const 8) "${text}")
      (func (export "read") (result i32) (i32.load8_u (i32.const 8))))`)
  const [one, two, other] = [program('a', 1, 117), program('much longer', 2, 145), program('a', 1, 256)]
  assert.ok(one.kept.ok && two.kept.ok && other.kept.ok)
  assert.equal(one.kept.code.key, two.kept.code.key)
  assert.notEqual(one.kept.code.key, other.kept.code.key, 'another order of pages')
  assert.deepEqual([...imageOf(one).globals, ...imageOf(two).globals], [1, 2])
})

test('images and instances that nobody holds give their memory back', { skip: scan === undefined }, async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const mappings = () => readFileSync('/proc/self/maps', 'utf8').split('rimward-image').length
  const program = prepare(remembering)
  const image = imageOf(program)
  const before = mappings()
  for (let count = 0; count < 30; count++) {
    const source = sourceOf(image, 'pages')
    const kept = open(program, source)
    fillMost(kept)
    kept.reset()
    source.mapped!.close()
  }
  for (let left = 100; left > 0 && mappings() > before; left--) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(mappings() <= before, `${mappings()} mappings, ${before} before`)
})

test('what is missing is said, and nothing of the trial stays open', () => {
  const open = () => readdirSync('/proc/self/fd').length
  const before = open()
  assert.equal(missingPageScan({ computeDropPages: 64 }), opened.ok ? undefined : opened.why)
  assert.equal(open(), before)
})

test('a process without the right to use node:ffi says so and does without', () => {
  const code = `import { missingPageScan, openPageScan } from './scan-pages.ts'
    const limits = { computeDropPages: 64 }
    console.log(JSON.stringify({ ...openPageScan(limits), missing: missingPageScan(limits) }))`
  const run = spawnSync(process.execPath, ['--permission', '--allow-fs-read=*', '--input-type=module', '-e', code], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  })
  const outcome = JSON.parse(run.stdout) as { ok: boolean; why: string; missing: string }
  assert.deepEqual([outcome.ok, outcome.missing], [false, outcome.why])
  assert.match(outcome.why, /node:ffi/)
})
