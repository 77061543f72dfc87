/** What cells hold in memory does not grow with the requests that they answer. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Program } from '#/core/snapshot.ts'
import type { Bytes } from '#/core/units.ts'
import { type ComputeStage, openCompute, textOf } from '#/engines/compute/compute.fixture.ts'
import { buildScript } from '../support/build-guest.ts'
import { smallProgram } from '../support/small-program.ts'

/** Some at once, so that more than one instance is in use. */
const together = 4

async function askOften({ ask }: ComputeStage, program: Program, times: number): Promise<void> {
  const client = async () => {
    for (let left = times / together; left > 0; left--) {
      const answer = await ask(program, `/${left}`)
      assert.equal(answer.status, 200)
      await textOf(answer)
    }
  }
  await Promise.all(Array.from({ length: together }, client))
}

/** Resident bytes of the only cell that there is. */
async function memoryOf({ engine }: ComputeStage): Promise<number> {
  const cells = engine.cells()
  assert.equal(cells.length, 1)
  const { head } = await cells[0]!.line.call({ do: 'ping' }, null).reply
  return head.memory as number
}

/** The most memory that the cell has after each of `rounds` times `then` requests. */
async function mostOf(t: TestContext, stage: ComputeStage, program: Program, rounds: number, then: number) {
  const seen: number[] = []
  for (let round = 0; round < rounds; round++) {
    await askOften(stage, program, then)
    seen.push(await memoryOf(stage))
  }
  const most = Math.max(...seen)
  t.diagnostic(`${Math.round(seen[0]! / 2 ** 20)} to ${Math.round(most / 2 ** 20)} MiB`)
  return most
}

/** `first` times 1,000 requests, then as many or 3,000 more, in which the cell has at most `more` memory, by default a tenth. */
async function staysLevel(t: TestContext, wasm: Uint8Array, first = 1, more?: Bytes): Promise<void> {
  const stage = await openCompute(t)
  const program = stage.add('level', wasm)
  const rounds = Math.max(first, 3)
  const before = await mostOf(t, stage, program, first, 1_000)
  const after = await mostOf(t, stage, program, rounds, 1_000)
  assert.ok(
    after <= before + (more ?? before * 0.1),
    `${before} bytes at first, ${after} in the next ${rounds} times 1,000 requests`,
  )
}

test('3,000 requests to a small program leave the memory of its cell as it was', async (t) => {
  await staysLevel(t, await smallProgram('small'))
})

// V8 keeps some 450 bytes of each suspendable call until its next full collection, which comes when it sees fit, after some
// 70,000 of them: memory goes up and down by 30 MiB. 1 KiB that stayed behind of each request for good would add 80 MiB.
test('so do 80,000, once the heap has found its size', async (t) => {
  await staysLevel(t, await smallProgram('small'), 80, 40 * 2 ** 20)
})

test('3,000 requests to a JavaScript program leave the memory of its cell as it was', async (t) => {
  await staysLevel(t, await buildScript('hello.js'))
})
