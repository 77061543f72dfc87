/** What cells hold in memory does not grow with the requests that they answer. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Program } from '#/core/snapshot.ts'
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

/** `first` requests, then three times `then` more, after which the cell has at most a tenth more memory. */
async function staysLevel(t: TestContext, wasm: Uint8Array, first = 1_000, then = first): Promise<void> {
  const stage = await openCompute(t)
  const program = stage.add('level', wasm)
  await askOften(stage, program, first)
  const before = await memoryOf(stage)
  const seen: number[] = []
  for (let round = 0; round < 3; round++) {
    await askOften(stage, program, then)
    seen.push(await memoryOf(stage))
  }
  const told = [before, ...seen].map((bytes) => `${Math.round(bytes / 2 ** 20)} MiB`).join(', ')
  t.diagnostic(told)
  assert.ok(seen.at(-1)! <= before * 1.1, `after each ${then} requests: ${told}`)
}

test('3,000 requests to a small program leave the memory of its cell as it was', async (t) => {
  await staysLevel(t, await smallProgram('small'))
})

// Enough for what would stay behind of each request, 1 KiB of it, to be seen.
test('so do 30,000, once the heap has found its size', async (t) => {
  await staysLevel(t, await smallProgram('small'), 20_000, 10_000)
})

test('3,000 requests to a JavaScript program leave the memory of its cell as it was', async (t) => {
  await staysLevel(t, await buildScript('hello.js'))
})
