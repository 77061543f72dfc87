import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { bindImage, type KeptParts, openImageSource } from '../wasm/reset-instance.ts'
import { rewriteModule } from '../wasm/rewrite-module.ts'
import { takeImage } from '../wasm/take-image.ts'
import { fromWat } from '../wasm/wat.fixture.ts'
import { createCode } from './compiled-code.ts'

const stop = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })

/** Programs of one code; each tells its text, its number and the size of its memory, and how far that grows. */
function prepare(text: string, number: number, pages: string) {
  const rewritten = rewriteModule(
    fromWat(`(module (memory ${pages}) (global $number (mut i32) (i32.const ${number})) (data (i32.const 8) "${text}")
      (func (export "tell") (result i32)
        (i32.store8 (i32.const 9) (i32.const 1))
        (global.set $number (i32.add (global.get $number) (i32.const 1)))
        (i32.add (i32.mul (i32.load8_u (i32.const 8)) (i32.const 1000))
          (i32.add (i32.mul (global.get $number) (i32.const 100)) (memory.size))))
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`),
    defaultLimits,
  )
  assert.ok(rewritten.ok && rewritten.value.kept.ok)
  const { whole, kept } = rewritten.value
  const taken = takeImage(new WebAssembly.Module(whole.bytes), rewritten.value, stop)
  assert.ok(taken.ok)
  return { whole, code: kept.code, source: openImageSource(taken.image, undefined) }
}

type Prepared = ReturnType<typeof prepare>

test('a blank instance waits for the next program of its code, whatever the size of its memory', async () => {
  const programs = { a: prepare('a', 1, '5 40'), b: prepare('b', 2, '9 40'), small: prepare('c', 3, '2 40') }
  const other = prepare('d', 4, '5 50')
  const module = new WebAssembly.Module(programs.a.code.bytes)
  let made = 0
  const code = createCode(module, {})
  const take = ({ whole, source, code: { key } }: Prepared) => {
    assert.equal(key, programs.a.code.key)
    const parts: KeptParts = {
      module,
      globals: whole.globals,
      memory: whole.memory,
      imports(memory) {
        made++
        return { rimward: { stop, memory: memory! } }
      },
    }
    const kept = bindImage(code.takeBlank(parts), source)
    assert.ok(kept !== undefined)
    return kept.instance.exports as { tell(): number; grow(pages: number): number }
  }
  const spare = async (count: number) => {
    for (let turn = 0; turn < 1000 && made < count; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
    assert.equal(made, count)
  }
  assert.equal(take(programs.a).tell(), 97_205)
  await spare(2)
  assert.equal(take(programs.b).tell(), 98_309, 'grown to fit, with nothing of the other')
  await spare(3)
  assert.equal(take(programs.small).tell(), 99_402, 'too large for it: made anew')
  await spare(5)
  assert.equal(take(programs.a).tell(), 97_205)
  await spare(6)
  const limited = take(other)
  assert.equal(limited.tell(), 100_505, 'of another bound: made anew')
  assert.deepEqual([limited.grow(46), limited.grow(45)], [-1, 5])
  await spare(8)
})
