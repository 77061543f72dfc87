/** Whose turn it is to bring an object to the cache: one at a time a name, the others wait for how it ends. */
import type { Clock, EpochMs, Milliseconds } from '#/core/units.ts'
import type { Candidate } from './core-object.ts'

export type TurnEnding =
  | { readonly kind: 'look-again' }
  | { readonly kind: 'stale'; readonly stale: Candidate }
  /** Nobody waits for anybody under this name for a while. */
  | { readonly kind: 'pass'; readonly ms: Milliseconds }

export interface OpenTurn {
  readonly ended: Promise<TurnEnding>
  /** Only the first call counts. */
  end(ending: TurnEnding): void
}

export interface Turns {
  find(name: string): OpenTurn | undefined
  /** There must be none. */
  open(name: string): OpenTurn
  passes(name: string): boolean
  /** For a name that is passed: nobody waits for how it ends. */
  beside(name: string): Pick<OpenTurn, 'end'>
}

/** `limit`: names that are passed at once; the oldest go first. */
export function createTurns({ clock, limit }: { readonly clock: Clock; readonly limit: number }): Turns {
  const open = new Map<string, OpenTurn>()
  const passing = new Map<string, EpochMs>()

  function pass(name: string, ms: Milliseconds): void {
    passing.delete(name)
    passing.set(name, clock() + ms)
    if (passing.size <= limit) return
    for (const oldest of passing.keys()) {
      passing.delete(oldest)
      return
    }
  }

  return {
    find: (name) => open.get(name),
    open(name) {
      const { promise, resolve } = Promise.withResolvers<TurnEnding>()
      const turn: OpenTurn = {
        ended: promise,
        end(ending) {
          if (open.get(name) !== turn) return
          open.delete(name)
          if (ending.kind === 'pass') pass(name, ending.ms)
          resolve(ending)
        },
      }
      open.set(name, turn)
      return turn
    },
    passes(name) {
      const until = passing.get(name)
      if (until === undefined) return false
      if (clock() < until) return true
      passing.delete(name)
      return false
    },
    beside: (name) => ({
      end(ending) {
        if (ending.kind === 'pass') pass(name, ending.ms)
      },
    }),
  }
}
