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

/** Answers of host calls as WebAssembly gets them. One set for all instances: `turns` knows whose turn it is. */
export function importsOf(modules: readonly HostcallModule[], turns: Turns): Record<string, Record<string, Imported>> {
  const imports: Record<string, Record<string, Imported>> = {}
  for (const { name, calls, waits } of modules) {
    const functions: Record<string, Imported> = {}
    for (const [call, run] of Object.entries(calls))
      functions[call] =
        waits?.has(call) === true
          ? (new WebAssembly.Suspending(waiting(run, turns)) as unknown as Imported)
          : direct(run, turns)
    imports[name] = functions
  }
  return imports
}

function direct(run: Hostcall, turns: Turns): Imported {
  return (...args: unknown[]) => {
    const sandbox = turns.current()!
    if (sandbox.over) throw new GuestExit(-1)
    try {
      return (run(sandbox, ...args) as Status | undefined) ?? status.ok
    } catch (thrown) {
      return statusOf(thrown)
    }
  }
}

function waiting(run: Hostcall, turns: Turns): Imported {
  return (...args: unknown[]) => {
    const sandbox = turns.current()!
    if (sandbox.over) throw new GuestExit(-1)
    let result: HostcallResult
    try {
      result = run(sandbox, ...args)
    } catch (thrown) {
      return statusOf(thrown)
    }
    if (!(result instanceof Promise)) return result ?? status.ok
    return suspended(sandbox, result, turns)
  }
}

/** Settles in a turn of its own: with the call's status, or, once the request is over, by unwinding the program. */
function suspended(sandbox: Sandbox, result: Promise<unknown>, turns: Turns): Promise<Status> {
  const { promise, resolve, reject } = Promise.withResolvers<Status>()
  let settled = false
  const wake = (begin: () => void) => {
    if (settled) return
    settled = true
    sandbox.wake = undefined
    turns.take(sandbox, begin)
  }
  sandbox.wake = () => wake(() => reject(new GuestExit(-1)))
  result.then(
    (code) =>
      wake(() => (sandbox.over ? reject(new GuestExit(-1)) : resolve((code as Status | undefined) ?? status.ok))),
    (thrown) =>
      wake(() => {
        if (sandbox.over || thrown instanceof GuestExit) reject(thrown)
        else resolve(statusOf(thrown))
      }),
  )
  sandbox.flush()
  turns.end(sandbox)
  return promise
}

function statusOf(thrown: unknown): Status {
  if (thrown instanceof HostcallError) return thrown.status
  // A bug of ours, or an exit: it ends the program.
  throw thrown
}
