/** From a host call as we write it to a function that WebAssembly imports. */
import { GuestExit, type Sandbox } from './sandbox.ts'
import type { Turns } from './scheduler.ts'
import { HostcallError, type Status, status } from './status.ts'

/**
 * One function of the ABI. Arguments come as WebAssembly has them: i32 as (signed) numbers, i64 as BigInt. Throws
 * `HostcallError` for any other status than what it returns.
 */
// biome-ignore lint/suspicious/noExplicitAny: each has parameters of its own
export type Hostcall = (sandbox: Sandbox, ...args: any[]) => HostcallResult

/** Nothing means `ok`. */
// biome-ignore lint/suspicious/noConfusingVoidType: most calls return nothing
export type HostcallResult = Status | void | Promise<Status | void>

/** The functions of one import module, by their exact names. */
export interface HostcallModule {
  readonly name: string
  readonly calls: Readonly<Record<string, Hostcall>>
  /** Those that may return a promise: the program is suspended until it is settled. */
  readonly waits?: ReadonlySet<string>
}

// biome-ignore lint/suspicious/noExplicitAny: each has parameters of its own
type Imported = (...args: any[]) => unknown

/**
 * Answers of host calls as WebAssembly gets them. One set for all instances: `turns` knows whose turn it is. `onCalled`
 * hears `module.name` of each call.
 */
export function importsOf(
  modules: readonly HostcallModule[],
  turns: Turns,
  onCalled?: (name: string) => void,
): Record<string, Record<string, Imported>> {
  const imports: Record<string, Record<string, Imported>> = {}
  for (const { name, calls, waits } of modules) {
    const functions: Record<string, Imported> = {}
    for (const [call, plain] of Object.entries(calls)) {
      const run = onCalled === undefined ? plain : heard(`${name}.${call}`, plain, onCalled)
      functions[call] =
        waits?.has(call) === true
          ? (new WebAssembly.Suspending(waiting(run, turns)) as unknown as Imported)
          : direct(run, turns)
    }
    imports[name] = functions
  }
  return imports
}

function heard(name: string, run: Hostcall, onCalled: (name: string) => void): Hostcall {
  return (sandbox, ...args) => {
    onCalled(name)
    return run(sandbox, ...args)
  }
}

function direct(run: Hostcall, turns: Turns): Imported {
  return (...args: unknown[]) => {
    const sandbox = turns.current()!
    try {
      if (sandbox.over) throw new GuestExit(-1)
      return (run(sandbox, ...args) as Status | undefined) ?? status.ok
    } catch (thrown) {
      return statusOf(thrown, turns)
    }
  }
}

function waiting(run: Hostcall, turns: Turns): Imported {
  return (...args: unknown[]) => {
    const sandbox = turns.current()!
    let result: HostcallResult
    try {
      if (sandbox.over) throw new GuestExit(-1)
      result = run(sandbox, ...args)
    } catch (thrown) {
      return statusOf(thrown, turns)
    }
    if (!(result instanceof Promise)) return result ?? status.ok
    return suspended(sandbox, result, turns)
  }
}

/** Settles in a turn of its own: with the call's status, or, once the request is over, by unwinding the program. */
function suspended(sandbox: Sandbox, result: Promise<unknown>, turns: Turns): Promise<Status> {
  const { promise, resolve, reject } = Promise.withResolvers<Status>()
  let settled = false
  const wake = (code: Status | undefined, thrown: unknown) => {
    if (settled) return
    settled = true
    sandbox.wake = undefined
    const current = sandbox.successor ?? sandbox
    turns.take(current, () => {
      if (code !== undefined && !current.over) return resolve(code)
      // Whatever the program catches, it is not to go on.
      turns.halt()
      reject(thrown ?? new GuestExit(-1))
    })
  }
  sandbox.wake = () => wake(undefined, undefined)
  result.then(
    (code) => wake((code as Status | undefined) ?? status.ok, undefined),
    (thrown) => (thrown instanceof HostcallError ? wake(thrown.status, undefined) : wake(undefined, thrown)),
  )
  sandbox.flush()
  turns.end(sandbox)
  return promise
}

function statusOf(thrown: unknown, turns: Turns): Status {
  if (thrown instanceof HostcallError) return thrown.status
  // An exit, or a bug of ours: it ends the program.
  turns.halt()
  throw thrown
}
