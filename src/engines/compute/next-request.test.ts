/** Programs that ask for the next request: what they keep, and what ends it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assemble, openCompute, textOf, until } from './compute.fixture.ts'

/** Counts in its memory, and asks for another request after each answer. `before`: what it does with a request. */
const counting = (before = '', mask = 0) => `(module
  (import "fastly_http_resp" "new" (func $resp_new (param i32) (result i32)))
  (import "fastly_http_resp" "send_downstream" (func $send (param i32 i32 i32) (result i32)))
  (import "fastly_http_resp" "close" (func $resp_close (param i32) (result i32)))
  (import "fastly_http_body" "new" (func $body_new (param i32) (result i32)))
  (import "fastly_http_body" "write" (func $write (param i32 i32 i32 i32 i32) (result i32)))
  (import "fastly_http_req" "body_downstream_get" (func $get (param i32 i32) (result i32)))
  (import "fastly_http_req" "uri_get" (func $uri (param i32 i32 i32 i32) (result i32)))
  (import "fastly_http_downstream" "next_request" (func $next (param i32 i32 i32) (result i32)))
  (import "fastly_http_downstream" "next_request_wait" (func $wait (param i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 2048) "0")
  (data (i32.const 256) "\\c8\\00\\00\\00\\00\\00\\00\\00")
  (global $seen (mut i32) (i32.const 0))
  (func (export "_start")
    (drop (call $get (i32.const 16) (i32.const 20)))
    (loop $again
      (drop (call $uri (i32.load (i32.const 16)) (i32.const 2050) (i32.const 200) (i32.const 24)))
      (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
      (i32.store8 (i32.const 2048) (i32.add (i32.const 48) (global.get $seen)))
      (i32.store8 (i32.const 2049) (i32.const 32))
      ${before}
      (drop (call $resp_new (i32.const 0)))
      (drop (call $body_new (i32.const 4)))
      (drop (call $write (i32.load (i32.const 4)) (i32.const 2048) (i32.add (i32.const 2) (i32.load (i32.const 24))) (i32.const 0) (i32.const 8)))
      (drop (call $send (i32.load (i32.const 0)) (i32.load (i32.const 4)) (i32.const 0)))
      (drop (call $next (i32.const ${mask}) (i32.const 256) (i32.const 12)))
      (br_if $again (i32.eqz (call $wait (i32.load (i32.const 12)) (i32.const 16) (i32.const 20)))))))`

/** Ends with the last of the path. */
const ifEndsWith = (letter: string, then: string) =>
  `(if (i32.eq (i32.load8_u (i32.add (i32.const 2049) (i32.load (i32.const 24)))) (i32.const ${letter.charCodeAt(0)})) (then ${then}))`

test('one instance answers one request after the other, and remembers', async (t) => {
  const stage = await openCompute(t)
  const program = stage.add('counting', await assemble(counting()))
  const answers: string[] = []
  for (const path of ['/a', '/b', '/c']) answers.push(await textOf(await stage.ask(program, path)))
  assert.deepEqual(answers, ['1 http://shop.test/a', '2 http://shop.test/b', '3 http://shop.test/c'])
  await until(() => stage.requests() === 0, 'all requests over')
})

test('requests at once have instances of their own; each is one behind another', async (t) => {
  const stage = await openCompute(t)
  const program = stage.add('counting', await assemble(counting()))
  const ask = async (path: string) => textOf(await stage.ask(program, path))
  const first = await Promise.all(['/a', '/b', '/c'].map(ask))
  const second = await Promise.all(['/d', '/e', '/f'].map(ask))
  assert.equal([...first, ...second].length, 6)
  for (const [index, path] of ['/a', '/b', '/c', '/d', '/e', '/f'].entries())
    assert.match([...first, ...second][index]!, new RegExp(`^[1-6] http://shop.test${path}$`))
  assert.ok(
    second.some((answer) => !answer.startsWith('1')),
    String(second),
  )
})

test('after so many requests, or so long a wait, the program starts anew', async (t) => {
  const few = await openCompute(t, { limits: { computeReuseRequests: 2 } })
  const program = few.add('few', await assemble(counting()))
  const answers: string[] = []
  for (const path of ['/a', '/b', '/c', '/d']) answers.push((await textOf(await few.ask(program, path)))[0]!)
  assert.deepEqual(answers, ['1', '2', '1', '2'])
  const short = await openCompute(t, { limits: { computeReuseIdleMs: 10 } })
  const brief = short.add('brief', await assemble(counting()))
  await short.ask(brief, '/a')
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.equal((await textOf(await short.ask(brief, '/b')))[0], '1')
  const own = few.add('own', await assemble(counting('', 2)))
  await few.ask(own, '/a')
  await new Promise((resolve) => setTimeout(resolve, 400))
  assert.equal((await textOf(await few.ask(own, '/b')))[0], '1', 'the program asked for 200 ms')
})

test('never across programs', async (t) => {
  const stage = await openCompute(t)
  const wasm = await assemble(counting())
  const [one, other] = [stage.add('one', wasm), stage.add('other', wasm)]
  for (const program of [one, other]) assert.equal((await textOf(await stage.ask(program, '/a')))[0], '1')
  for (const program of [one, other]) assert.equal((await textOf(await stage.ask(program, '/a')))[0], '2')
})

test('a later request that traps or loops fails alone, and ends the instance', async (t) => {
  const stage = await openCompute(t, { limits: { computeWarmUpMs: 0 } })
  const wasm = await assemble(counting(ifEndsWith('t', 'unreachable') + ifEndsWith('l', '(loop $l (br $l))')))
  const program = stage.add('bad', wasm)
  const ask = async (path: string) => (await textOf(await stage.ask(program, path)))[0]
  assert.deepEqual([await ask('/a'), await ask('/b')], ['1', '2'])
  await assert.rejects(stage.ask(program, '/t'), { code: 'program_exception' })
  assert.deepEqual([await ask('/a'), await ask('/b')], ['1', '2'])
  await assert.rejects(stage.ask(program, '/l'), { code: 'program_exceeded_limits' })
  assert.equal(await ask('/a'), '1')
  await until(() => stage.requests() === 0, 'all requests over')
})
