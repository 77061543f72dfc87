import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { assemble, openCompute, program, textOf, until } from './compute.fixture.ts'

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
    const broken = add('broken', await assemble(program(body, rest)))
    await assert.rejects(ask(broken), (error: Error & { code: string }) => {
      assert.equal(error.code, code, what)
      assert.match(error.message, says)
      return true
    })
    assert.equal(await textOf(await ask(hello)), 'hello from wasm')
  }
})

/** Reads the body of the request, which never comes, and then answers. */
const waiting = program(
  `(drop (call $downstream (i32.const 16) (i32.const 20)))
   (drop (call $read (i32.load (i32.const 20)) (i32.const 8192) (i32.const 100) (i32.const 24)))
   (call $answer (i32.const 200) (i32.const 8192) (i32.load (i32.const 24)))`,
  `(import "fastly_http_req" "body_downstream_get" (func $downstream (param i32 i32) (result i32)))
   (import "fastly_http_body" "read" (func $read (param i32 i32 i32 i32) (result i32)))`,
)

test('a body streams in; a client that leaves and a deadline end what waits for it', async (t) => {
  const { add, ask, requests } = await openCompute(t, { limits: { computeWallMs: 300 } })
  const reader = add('reader', await assemble(waiting))
  const body = new PassThrough()
  const answered = ask(reader, '/', { method: 'POST', body })
  body.write('late')
  assert.equal(await textOf(await answered), 'late')
  await until(() => requests() === 0, 'the program has ended')

  const leaver = new AbortController()
  const left = ask(reader, '/', { method: 'POST', body: new PassThrough(), signal: leaver.signal })
  await until(() => requests() === 1, 'the request is in its cell')
  leaver.abort()
  await assert.rejects(left, { code: 'client_gone' })
  await until(() => requests() === 0, 'nothing is left of it')

  const late = ask(reader, '/', { method: 'POST', body: new PassThrough() })
  await assert.rejects(late, { code: 'program_exceeded_limits', message: /longer than 0.3 s/ })
  await until(() => requests() === 0, 'nothing is left of it')
})

test('requests that come while their program is loaded wait in its cell, and hear when that fails', async (t) => {
  const { add, ask, engine, folder, requests } = await openCompute(t)
  const hello = add('hello', await assemble(program('(call $answer (i32.const 200) (i32.const 4096) (i32.const 15))')))
  await engine.prove(hello, hello.rollout[0]!.deployment)
  const prepared = join(folder, 'engine/modules-1')
  const [code] = readdirSync(prepared).filter((name) => name.endsWith('.wasm'))
  const bytes = readFileSync(join(prepared, code!))
  const ten = () => Promise.allSettled(Array.from({ length: 10 }, () => ask(hello)))

  writeFileSync(join(prepared, code!), 'no code')
  for (const outcome of await ten()) {
    assert.equal(outcome.status, 'rejected')
    assert.equal(outcome.reason.code, 'program_start_failed')
    assert.match(outcome.reason.message, /magic/)
  }
  await until(() => requests() === 0, 'nothing is left of them')

  writeFileSync(join(prepared, code!), bytes)
  for (const outcome of await ten()) {
    assert.equal(outcome.status, 'fulfilled')
    assert.equal(await textOf(outcome.value), 'hello from wasm')
  }
  await until(() => requests() === 0, 'nothing is left of them')
})

test('a cell that dies fails its requests, and the next request has a new one', async (t) => {
  const { add, ask, requests, cells } = await openCompute(t)
  const reader = add('reader', await assemble(waiting))
  const body = new PassThrough()
  const cut = ask(reader, '/', { method: 'POST', body })
  await until(() => requests() === 1, 'the request is in its cell')
  process.kill(cells()[0]!.pid, 'SIGKILL')
  await assert.rejects(cut, { code: 'program_hung_up' })
  const again = new PassThrough()
  again.end('again')
  assert.equal(await textOf(await ask(reader, '/', { method: 'POST', body: again })), 'again')
})

test('what was prepared goes with the blob that it was made of, once something had to go', async (t) => {
  const { engine, add, ask, blobs, folder: whole } = await openCompute(t)
  const folder = join(whole, 'engine')
  const answers = (length: number) => program(`(call $answer (i32.const 200) (i32.const 4096) (i32.const ${length}))`)
  const [stays, goes] = [add('stays', await assemble(answers(5))), add('goes', await assemble(answers(15)))]
  for (const one of [stays, goes]) assert.equal((await ask(one)).status, 200)
  const module = (one: typeof stays) => one.rollout[0]!.deployment.compute!.module
  const files = async () => (await readdir(folder, { recursive: true })).join(' ')
  await writeFile(join(folder, `${module(goes)}.source`), 'cut short')
  const snapshot = { revision: 1, sites: [], programs: new Map([stays, goes].map((one) => [one.name, one])) }
  await engine.adopt(snapshot)
  blobs.delete(module(goes))
  await engine.adopt({ ...snapshot, revision: 2 })
  assert.match(await files(), new RegExp(module(goes)))

  const last = { ...snapshot, revision: 3, programs: new Map([[stays.name, stays]]), erased: 1000 }
  await engine.adopt(last)
  assert.doesNotMatch(await files(), new RegExp(module(goes)))
  assert.match(await files(), new RegExp(`${module(stays)}.json`))
  assert.equal((await files()).match(/code\.wasm|whole\.wasm/g)?.length, 1)
  assert.equal(await textOf(await ask(stays)), 'hello')
})
