/**
 * Whose turn it is. A cell runs one program at a time; what a host call waited for wakes its program only when the others
 * have stopped, so that every microsecond is on one request's account, and the stop flag stops nobody else.
 */
import type { Sandbox } from './sandbox.ts'

export interface Turns {
  /** Runs within `work` only; undefined between turns. */
  current(): Sandbox | undefined
  /** Queues a turn: `begin` must lead into the program at once, synchronously or by resolving what it waits for. */
  take(sandbox: Sandbox, begin: () => void): void
  /** The program of this turn must not run on. */
  halt(): void
  /** The program of the turn waits or has ended. Returns the turn's length in ms. */
  end(sandbox: Sandbox): number
}

export interface TurnWatch {
  /** The longest that this turn may take, ms. */
  begin(budgetMs: number): void
  /** True when the turn was stopped because its time was over. */
  end(): boolean
  /** The program of this turn must not run on: it traps at its next check, whatever it catches. */
  halt(): void
}

/** After so long the thread hears what has come meanwhile, a ping of the node above all, before the next turn. */
const longRoundMs = 20

/** `before` is told how long the next turn will probably take, ms: what waits to be sent should leave first. */
export function createTurns(watch: TurnWatch, before: (expectedMs: number) => void = () => {}): Turns {
  const waiting: { sandbox: Sandbox; begin: () => void }[] = []
  let current: Sandbox | undefined
  let began = 0
  let roundBegan = 0

  function next(): void {
    const turn = waiting.shift()
    if (turn === undefined) return
    before(turn.sandbox.program.turnMs)
    current = turn.sandbox
    began = performance.now()
    turn.sandbox.turnBegan = began
    watch.begin(turn.sandbox.cpuLeftMs)
    turn.begin()
  }

  function goOn(): void {
    if (current === undefined) next()
  }

  function goOnLater(): void {
    roundBegan = performance.now()
    goOn()
  }

  return {
    current: () => current,
    take(sandbox, begin) {
      waiting.push({ sandbox, begin })
      if (current !== undefined) return
      if (waiting.length === 1) roundBegan = performance.now()
      next()
    },
    halt: () => watch.halt(),
    end(sandbox) {
      if (current !== sandbox) return 0
      current = undefined
      const now = performance.now()
      const ms = now - began
      sandbox.cpuMs += ms
      sandbox.program.turnMs += (ms - sandbox.program.turnMs) / 8
      if (watch.end()) sandbox.stopped = true
      // The other turn starts on a fresh stack.
      if (waiting.length > 0 && now - roundBegan > longRoundMs) setImmediate(goOnLater)
      else if (waiting.length > 0) queueMicrotask(goOn)
      return ms
    },
  }
}
