/** What cells ask and tell of requests: each may speak of those that run in it, and of no other. */
import { toEdgeError } from '#/core/errors.ts'
import type { ComputeCell } from './cell.ts'
import type { ComputeEngineOptions } from './engine.ts'
import type { HeldRun } from './held-run.ts'
import type { HostCalls } from './host-calls.ts'
import type { HostHead } from './protocol.ts'
import type { Slots } from './slots.ts'
import { CallFailure, type Head, type InCall, type Reply, silentCall } from './wire-messages.ts'

/** Requests in cells, by the numbers that cells know them by. */
export type Runs = Slots<HeldRun>

type Asker = ComputeCell | undefined

function runOf(number: number, asker: Asker, runs: Runs): HeldRun | undefined {
  const run = runs.get(number)
  return run?.cell === asker ? run : undefined
}

export function endRun(runs: Runs, number: number): void {
  const held = runs.get(number)
  if (held === undefined) return
  runs.remove(number)
  held.cell.inFlight--
  held.end()
}

/** What a cell says without wanting an answer. */
export function hearCell(
  head: Head,
  asker: Asker,
  runs: Runs,
  { hostCalls, onCalled }: Pick<ComputeEngineOptions, 'hostCalls' | 'onCalled'>,
): void {
  const { do: what, run: number } = head as unknown as HostHead
  const run = runOf(number, asker, runs)
  if (what === 'called') onCalled?.(String(head.name))
  else if (run !== undefined && what === 'over') endRun(runs, number)
  else if (run !== undefined && what === 'print') hostCalls.print?.(run, head, silentCall(head))
}

/** A call of a program in it: refused where there is no such request, or no such call. */
export function answerCell(call: InCall, asker: Asker, runs: Runs, hostCalls: HostCalls): void {
  const { do: name, run: number } = call.head as unknown as HostHead
  const run = runOf(number, asker, runs)
  const hostCall = Object.hasOwn(hostCalls, name) ? hostCalls[name] : undefined
  if (run === undefined || hostCall === undefined) {
    call.fail(new CallFailure('bad_request', `There is no ${run === undefined ? 'such request' : name}.`))
    return
  }
  // Begun at once: what the cell says next, the end of the request above all, must find it under way.
  const answering = new Promise<Reply | undefined>((resolve) => resolve(hostCall(run, call.head, call)))
  answering.then(
    (reply) => reply && call.reply(reply),
    (thrown) => {
      const { code, message } = thrown instanceof CallFailure ? thrown : toEdgeError(thrown)
      call.fail(new CallFailure(code, message))
    },
  )
}
