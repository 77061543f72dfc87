/** A cell that was taken over speaks of its own requests at most. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProgramRequest } from '#/core/ports.ts'
import type { Program } from '#/core/snapshot.ts'
import { answerCell, hearCell, type Runs } from './answer-cell.ts'
import type { ComputeCell } from './cell.ts'
import { type ComputeDeployment, toFailure } from './cells.ts'
import { HeldRun } from './held-run.ts'
import { Slots } from './slots.ts'
import { CallFailure, type Head, type InCall, silentCall } from './wire-messages.ts'

const cellOf = (name: string) => ({ name, inFlight: 1 }) as ComputeCell

function openRuns() {
  const runs: Runs = new Slots()
  const cell = cellOf('its own')
  const held = new HeldRun(cell, {} as Program, {} as ComputeDeployment, {} as ProgramRequest)
  held.number = runs.add(held)
  return { runs, cell, number: held.number }
}

test('a request ends, prints and calls by the word of its own cell only', async () => {
  const { runs, cell, number } = openRuns()
  const heard: string[] = []
  const hostCalls = {
    print: (_run: object, { message }: Head) => void heard.push(String(message)),
    where: () => ({ head: { place: 'here' }, body: null }),
  }
  const other = cellOf('another')
  const ask = (asker: ComputeCell, name: string) =>
    new Promise<unknown>((resolve) => {
      const call = silentCall({ do: name, run: number })
      const answered: InCall = Object.assign(call, {
        reply: resolve,
        fail: (failure: Error) => resolve(failure.message),
      })
      answerCell(answered, asker, runs, hostCalls)
    })
  hearCell({ do: 'print', run: number, message: 'foreign' }, other, runs, { hostCalls })
  hearCell({ do: 'over', run: number }, other, runs, { hostCalls })
  assert.equal(cell.inFlight, 1)
  assert.equal(await ask(other, 'where'), 'There is no such request.')
  assert.equal(await ask(cell, 'toString'), 'There is no toString.')
  assert.deepEqual(await ask(cell, 'where'), { head: { place: 'here' }, body: null })
  hearCell({ do: 'print', run: number, message: 'own' }, cell, runs, { hostCalls })
  hearCell({ do: 'over', run: number }, cell, runs, { hostCalls })
  assert.deepEqual([heard, cell.inFlight, runs.all().length], [['own'], 0, 0])
})

test('a failure under a name that is none of ours is internal', () => {
  for (const code of ['toString', '__proto__', 'constructor', 'nonsense', ''])
    assert.equal(toFailure(new CallFailure(code, 'a message'), 'hello').code, 'internal', code)
  assert.equal(toFailure(new CallFailure('program_exception', 'a message'), 'hello').code, 'program_exception')
})
