/** One request: takes an instance, runs it in turns, and says how it ended. */
import { CallFailure } from '../wire-messages.ts'
import { GuestExit, type Sandbox } from './sandbox.ts'
import type { Turns } from './scheduler.ts'
import { Session, type Settle } from './session.ts'

/** Never rejects: what goes wrong is told to the client, where it has no answer yet. */
export async function runRequest(sandbox: Sandbox, turns: Turns): Promise<void> {
  const { call } = sandbox
  call.waiter = sandbox
  let failure: CallFailure | undefined
  try {
    await runProgram(sandbox, turns)
  } catch (thrown) {
    failure = explain(sandbox, thrown)
  }
  if (!sandbox.answered)
    call.fail(failure ?? new CallFailure('program_hung_up', 'The program ended without an answer.'))
  else if (failure !== undefined) sandbox.failAfterAnswer(failure.message)
  else sandbox.endWithAnswer()
  sandbox.flush()
  await sandbox.settled(failure !== undefined)
  sandbox.finish()
}

/** From its first turn to its last; in an instance that waits for another request, where there is one. */
export function runProgram(sandbox: Sandbox, turns: Turns): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const settle: Settle = { resolve, reject }
  const otherwise = () => turns.take(sandbox, () => begin(sandbox, turns, settle))
  const [next] = sandbox.program.waiting
  if (next === undefined) otherwise()
  else next.give({ sandbox, settle, otherwise })
  return promise
}

/** The instance is taken when the first turn begins, so that one may serve many in turn. */
function begin(sandbox: Sandbox, turns: Turns, settle: Settle): void {
  const { program } = sandbox
  let session: Session | undefined
  const end = (clean: boolean, thrown?: unknown) => {
    turns.end(session?.sandbox ?? sandbox)
    if (session === undefined) return settle.reject(thrown)
    program.give(session.instance, clean)
    session.end(thrown)
  }
  const failed = (thrown: unknown) => {
    const exited = thrown instanceof GuestExit && thrown.code === 0 && !(session?.sandbox ?? sandbox).over
    end(exited, exited ? undefined : thrown)
  }
  try {
    const instance = program.take()
    session = new Session(instance, sandbox, settle)
    sandbox.memory = instance.memory
    sandbox.start = instance.how
    instance.start().then(() => end(true), failed)
  } catch (thrown) {
    failed(thrown)
  }
}

/** The named failure behind what came out of the program. */
function explain(sandbox: Sandbox, thrown: unknown): CallFailure {
  const { limits, program } = sandbox
  const { name } = program.facts
  if (sandbox.stopped)
    return new CallFailure('program_exceeded_limits', `${name} used more than ${limits.cpuMs} ms of processor time.`)
  if (sandbox.endReason === 'time')
    return new CallFailure('program_exceeded_limits', `${name} ran longer than ${limits.wallMs / 1000} s.`)
  if (sandbox.endReason === 'client_gone') return new CallFailure('client_gone', 'The client left.')
  if (thrown instanceof GuestExit)
    return new CallFailure('program_exception', `${name} exited with code ${thrown.code}.`)
  if (thrown instanceof WebAssembly.RuntimeError || thrown instanceof RangeError)
    return new CallFailure('program_exception', `${name} trapped: ${thrown.message}.`)
  if (thrown instanceof WebAssembly.LinkError)
    return new CallFailure('program_start_failed', `${name} cannot start: ${thrown.message}`)
  return new CallFailure('internal', `${name} failed: ${(thrown as Error)?.stack ?? String(thrown)}`)
}
