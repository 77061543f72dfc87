/** What one request must never leave to the next, nor do to those beside it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assemble, openCompute, program, textOf, until } from './compute.fixture.ts'

const hello = program('(call $answer (i32.const 200) (i32.const 4096) (i32.const 15))')

/** Answers 200 where everything is as new, else 500; then writes wherever it can. `how` ends it. */
function remembering(how: string): string {
  return program(
    `(local $at i32) (local $found i32)
     (local.set $found (i32.or (global.get $seen) (i32.load (i32.const 60000))))
     (local.set $found (i32.or (local.get $found) (i32.ne (memory.size) (i32.const 2))))
     (local.set $found (i32.or (local.get $found) (i32.ne (i32.load8_u (i32.const 4096)) (i32.const 104))))
     (local.set $found (i32.or (local.get $found) (i32.load (i32.const 131068))))
     (call $answer (select (i32.const 500) (i32.const 200) (local.get $found)) (i32.const 4096) (i32.const 15))
     (global.set $seen (i32.const 1))
     (local.set $at (i32.const 0))
     (loop $all
       (i32.store (local.get $at) (i32.const -1))
       (local.set $at (i32.add (local.get $at) (i32.const 4)))
       (br_if $all (i32.lt_u (local.get $at) (i32.const 131072))))
     ${how}`,
    `(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
     (import "fastly_http_req" "body_downstream_get" (func $downstream (param i32 i32) (result i32)))
     (import "fastly_http_body" "read" (func $read (param i32 i32 i32 i32) (result i32)))`,
  )
}

const endings: readonly { what: string; how: string; pooled: boolean }[] = [
  { what: 'returns', how: '', pooled: true },
  { what: 'exits well', how: '(call $exit (i32.const 0))', pooled: true },
  { what: 'exits badly', how: '(call $exit (i32.const 1))', pooled: false },
  { what: 'traps', how: '(unreachable)', pooled: false },
  { what: 'grows', how: '(drop (memory.grow (i32.const 3)))', pooled: false },
  {
    what: 'leaves a call pending',
    how: '(drop (call $read (i32.const 1) (i32.const 0) (i32.const 9) (i32.const 0)))',
    pooled: true,
  },
]

// Small memories are copied back whole; of large ones the kernel tells the written pages, where it can.
for (const pages of [2, 40])
  test(`a program that tries to remember finds nothing, however it ended before: ${pages} pages`, async (t) => {
    const { add, ask } = await openCompute(t)
    for (const { what, how, pooled } of endings) {
      const text = remembering(how)
        .replace('(memory (export "memory") 2)', `(memory (export "memory") ${pages})`)
        .replace('(i32.ne (memory.size) (i32.const 2))', `(i32.ne (memory.size) (i32.const ${pages}))`)
      const rememberer = add('rememberer', await assemble(text))
      const starts: string[] = []
      for (let count = 0; count < 4; count++) {
        const answer = await ask(rememberer)
        await textOf(answer).catch(() => '')
        assert.equal(answer.status, 200, `${what}, request ${count}`)
        starts.push(answer.start)
      }
      assert.equal(starts.includes('pooled'), pooled, `${what}: ${starts}`)
    }
  })

test('a program that writes a table gets a new instance each time', async (t) => {
  const { add, ask } = await openCompute(t)
  const writer = add(
    'writer',
    await assemble(
      program(
        `(if (ref.is_null (table.get $kept (i32.const 0)))
           (then (call $answer (i32.const 200) (i32.const 4096) (i32.const 15)))
           (else (call $answer (i32.const 500) (i32.const 4096) (i32.const 15))))
         (table.set $kept (i32.const 0) (ref.func $mark))`,
        '',
      ).replace('(global $seen', '(table $kept 1 funcref) (elem declare func $mark) (func $mark) (global $seen'),
    ),
  )
  for (let count = 0; count < 3; count++) {
    const answer = await ask(writer)
    assert.deepEqual([answer.status, answer.start], [200, count === 0 ? 'cold' : 'warm'])
  }
})

test('a program that catches its own end is ended all the same', async (t) => {
  const { add, ask } = await openCompute(t)
  const catcher = add(
    'catcher',
    await assemble(`(module
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (func (export "_start") (loop $again (try (do (call $exit (i32.const 7))) (catch_all (br 1))))))`),
  )
  for (let count = 0; count < 3; count++)
    await assert.rejects(ask(catcher), { code: 'program_exception', message: /exited with code 7|trapped/ })
})

const greedy: readonly { what: string; body: string; rest?: string }[] = [
  { what: 'an endless loop', body: '(loop $on (br $on))' },
  { what: 'endless calls', body: '(call $tree (i32.const 60))', rest: '' },
  { what: 'a loop that calls the host', body: '(loop $on (drop (call $body_new (i32.const 4))) (br $on))' },
]
const tree = `(func $tree (param $depth i32)
  (if (i32.eqz (local.get $depth)) (then (return)))
  (call $tree (i32.sub (local.get $depth) (i32.const 1)))
  (call $tree (i32.sub (local.get $depth) (i32.const 1))))`

test('a program that does not stop is stopped, its neighbours go on, and its cell lives', async (t) => {
  const { add, ask, cells } = await openCompute(t)
  const neighbour = add('neighbour', await assemble(hello))
  await ask(neighbour)
  const [cell] = cells()
  for (const { what, body } of greedy) {
    const hog = add('hog', await assemble(program(body).replace('(global $seen', `${tree} (global $seen`)))
    const hogs = [1, 2].map(() => ask(hog))
    const beside = await Promise.all(Array.from({ length: 10 }, () => ask(neighbour)))
    for (const answer of beside) assert.equal(await textOf(answer), 'hello from wasm', what)
    for (const answered of hogs)
      await assert.rejects(answered, { code: 'program_exceeded_limits', message: /50 ms of processor time/ }, what)
  }
  assert.deepEqual(
    cells().map(({ pid }) => pid),
    [cell!.pid],
  )
})

test('memory cannot grow past its cap, and comes back', async (t) => {
  const { add, ask, cells, requests } = await openCompute(t)
  const grower = add(
    'grower',
    await assemble(
      program(
        `(local $pages i32)
         (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
         (local.set $pages (memory.size))
         (call $answer (select (i32.const 200) (i32.const 500) (i32.le_u (local.get $pages) (i32.const 2048)))
           (i32.const 4096) (i32.const 15))`,
      ),
    ),
  )
  const statuses = await Promise.all(Array.from({ length: 200 }, async () => (await ask(grower)).status))
  assert.deepEqual(new Set(statuses), new Set([200]))
  await until(() => requests() === 0, 'all have ended')
  assert.equal(cells().length, 1)
})
