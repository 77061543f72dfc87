import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Snapshot } from '#/core/snapshot.ts'
import { assemble, openCompute, program, textOf } from './compute.fixture.ts'

const imports = `
  (import "fastly_http_req" "body_downstream_get" (func $downstream (param i32 i32) (result i32)))
  (import "fastly_http_req" "uri_get" (func $uri (param i32 i32 i32 i32) (result i32)))
  (import "fastly_log" "endpoint_get" (func $endpoint (param i32 i32 i32) (result i32)))
  (import "fastly_log" "write" (func $log (param i32 i32 i32 i32) (result i32)))
  (import "fastly_http_downstream" "next_request" (func $next (param i32 i32 i32) (result i32)))
  (import "fastly_http_downstream" "next_request_wait" (func $next_wait (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $print (param i32 i32 i32 i32) (result i32)))`

const answer = '(call $answer (i32.const 200) (i32.const 4096) (i32.const 15))'

/** Does `text` in the rehearsal alone, whose URL is `http://localhost/`; then answers. */
function onlyRehearsed(text: string): string {
  return program(
    `(drop (call $downstream (i32.const 0) (i32.const 4)))
    (drop (call $uri (i32.load (i32.const 0)) (i32.const 512) (i32.const 64) (i32.const 8)))
    (if (i32.eq (i32.load8_u (i32.const 519)) (i32.const 108)) (then ${text}))
    ${answer}`,
    imports,
  )
}

/** A clock's subscription of an hour at 1024. */
const sleep = `(i32.store (i32.const 1040) (i32.const 1))
  (i64.store (i32.const 1048) (i64.const 3600000000000))
  (drop (call $poll (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 8)))`

const misdeeds: Readonly<Record<string, string>> = {
  traps: 'unreachable',
  'runs for ever': '(loop $again (br $again))',
  sleeps: sleep,
  'waits for another request': `(drop (call $next (i32.const 0) (i32.const 0) (i32.const 16)))
    (drop (call $next_wait (i32.load (i32.const 16)) (i32.const 0) (i32.const 4)))`,
  'grows its memory': '(drop (memory.grow (i32.const 100)))',
}

for (const [what, text] of Object.entries(misdeeds))
  test(`a program that ${what} in its rehearsal answers its first request`, { timeout: 20_000 }, async (t) => {
    const stage = await openCompute(t)
    const rehearsed = stage.add('rehearsed', await assemble(onlyRehearsed(text)))
    stage.engine.warm(rehearsed, rehearsed.rollout[0]!.deployment)
    const first = await stage.ask(rehearsed)
    // The rehearsal had the cold instance.
    assert.deepEqual([first.status, first.start, await textOf(first)], [200, 'warm', 'hello from wasm'])
    assert.equal((await stage.ask(rehearsed)).status, 200)
    assert.equal(stage.requests(), 0)
    assert.deepEqual(stage.logged, [])
  })

test('nothing of a rehearsal leaves the cell', async (t) => {
  const heard: string[] = []
  const stage = await openCompute(t, {
    hostCalls: {
      log: async ({ request }) => {
        heard.push(`log for ${request.authority}`)
        return { head: {}, body: null }
      },
      print: ({ request }) => void heard.push(`print for ${request.authority}`),
    },
  })
  const text = `(i32.store (i32.const 1024) (i32.const 4096))
    (i32.store (i32.const 1028) (i32.const 15))
    (drop (call $print (i32.const 1) (i32.const 1024) (i32.const 1) (i32.const 8)))
    (drop (call $endpoint (i32.const 4096) (i32.const 5) (i32.const 0)))
    (drop (call $log (i32.load (i32.const 0)) (i32.const 4096) (i32.const 15) (i32.const 8)))
    ${answer}`
  const talks = stage.add('talks', await assemble(program(text, imports)))
  stage.engine.warm(talks, talks.rollout[0]!.deployment)
  const first = await stage.ask(talks)
  assert.deepEqual([first.status, first.start], [200, 'warm'])
  assert.deepEqual(heard.toSorted(), ['log for shop.test', 'print for shop.test'])
})

test('what takes the place of a program in use is rehearsed before it serves', async (t) => {
  const stage = await openCompute(t)
  const wasm = await assemble(program(answer))
  const [used, idle] = [stage.add('used', wasm), stage.add('idle', wasm)]
  assert.equal((await stage.ask(used)).start, 'cold')
  const [next, other] = [stage.add('used', wasm), stage.add('idle', wasm)]
  const programs = new Map([next, other].map((one) => [one.name, one]))
  await stage.engine.adopt({ programs, sites: [] } as unknown as Snapshot)
  assert.equal((await stage.ask(next)).start, 'warm')
  assert.equal((await stage.ask(other)).start, 'cold')
  assert.equal((await stage.ask(idle)).start, 'cold')
})
