import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assemble, openCompute, program, textOf } from './compute.fixture.ts'

test('a program answers', async (t) => {
  const { add, ask } = await openCompute(t)
  const hello = add('hello', await assemble(program('(call $answer (i32.const 201) (i32.const 4096) (i32.const 15))')))
  const answer = await ask(hello)
  assert.deepEqual([answer.status, await textOf(answer)], [201, 'hello from wasm'])
})

const failing: readonly { what: string; body: string; rest?: string; code: string; says: RegExp }[] = [
  { what: 'a trap', body: '(unreachable)', code: 'program_exception', says: /trapped: unreachable/ },
  { what: 'no answer', body: '(nop)', code: 'program_hung_up', says: /without an answer/ },
  {
    what: 'an exit code',
    body: '(call $exit (i32.const 3))',
    rest: '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))',
    code: 'program_exception',
    says: /exited with code 3/,
  },
  {
    what: 'a stack overflow',
    body: '(call $down)',
    rest: '(func $down (call $down) (call $down))',
    code: 'program_exception',
    says: /stack/,
  },
]

test('what fails, fails alone', async (t) => {
  const { add, ask } = await openCompute(t)
  const hello = add('hello', await assemble(program('(call $answer (i32.const 200) (i32.const 4096) (i32.const 15))')))
  for (const { what, body, rest, code, says } of failing) {
    const broken = add('broken', await assemble(reorder(program(body, rest))))
    await assert.rejects(ask(broken), (error: Error & { code: string }) => {
      assert.equal(error.code, code, what)
      assert.match(error.message, says)
      return true
    })
    assert.equal(await textOf(await ask(hello)), 'hello from wasm')
  }
})

/** Imports come first in a module. */
function reorder(text: string): string {
  return text
}
