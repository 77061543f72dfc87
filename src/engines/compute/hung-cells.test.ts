/** A cell that is silent is ended, one that waits for a processor is not. */
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { assemble, openCompute, program, textOf, until } from './compute.fixture.ts'
import { isHung } from './hung-cells.ts'

const cases: readonly { what: string; silentMs: number; usedMs: number | undefined; hung: boolean }[] = [
  { what: 'for a while', silentMs: 4_999, usedMs: 4_999, hung: false },
  { what: 'and busy', silentMs: 5_000, usedMs: 2_500, hung: true },
  { what: 'and had little of a busy machine', silentMs: 5_000, usedMs: 2_499, hung: false },
  { what: 'for long, with little of a busy machine', silentMs: 29_999, usedMs: 0, hung: false },
  { what: 'for very long', silentMs: 30_000, usedMs: 0, hung: true },
  { what: 'where nobody knows what it had', silentMs: 5_000, usedMs: undefined, hung: true },
]

for (const { what, hung, ...silence } of cases)
  test(`a cell that is silent ${what} ${hung ? 'is hung' : 'is not'}`, () => {
    assert.equal(isHung({ ...silence, hangMs: 5_000 }), hung)
  })

test('a cell that gives no sign is ended with its requests, and the next request has a new one', async (t) => {
  const limits = { computePingMs: 20, computeHangMs: 500 }
  const { add, ask, cells, logged, requests } = await openCompute(t, { limits })
  const hello = add('hello', await assemble(program('(call $answer (i32.const 200) (i32.const 4096) (i32.const 15))')))
  await ask(hello)
  const [cell] = cells()
  process.kill(cell!.pid, 'SIGSTOP')
  await assert.rejects(ask(hello, '/', { method: 'POST', body: new PassThrough() }), { code: 'program_hung_up' })
  assert.ok(logged.some((line) => 'message' in line && line.message === 'cell hung'))
  await until(() => requests() === 0, 'nothing is left of it')
  assert.equal(await textOf(await ask(hello)), 'hello from wasm')
})
