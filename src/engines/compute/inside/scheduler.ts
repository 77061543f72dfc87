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
  /** The program of the turn waits or has ended. Returns the turn's length in ms. */
  end(sandbox: Sandbox): number
}

export interface TurnWatch {
  /** The longest that this turn may take, ms. */
  begin(budgetMs: number): void
  /** True when the turn was stopped. */
  end(): boolean
}

export function createTurns(watch: TurnWatch): Turns {
  const waiting: { sandbox: Sandbox; begin: () => void }[] = []
  let current: Sandbox | undefined
  let began = 0

  function next(): void {
    const turn = waiting.shift()
    if (turn === undefined) return
    current = turn.sandbox
    began = performance.now()
    turn.sandbox.turnBegan = began
    watch.begin(turn.sandbox.cpuLeftMs)
    turn.begin()
  }

  return {
    current: () => current,
    take(sandbox, begin) {
      waiting.push({ sandbox, begin })
      if (current === undefined) next()
    },
    end(sandbox) {
      if (current !== sandbox) return 0
      current = undefined
      const ms = performance.now() - began
      sandbox.cpuMs += ms
      if (watch.end()) sandbox.stopped = true
      // The other turn starts on a fresh stack.
      if (waiting.length > 0) queueMicrotask(() => current === undefined && next())
      return ms
    },
  }
}
