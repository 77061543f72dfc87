/**
 * Which programs were just told that a Durable Object is out of reach. The error that they get says that another try may go
 * through, and the runtime takes one that they do not catch for a broken connection: it closes it without a word.
 */
import { EdgeError } from '#/core/errors.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import type { Milliseconds } from '#/core/units.ts'
import type { BackplaneHandler } from './backplane.ts'

export interface RecentAways {
  /** The same handler; what it rejects with is remembered for the program that asked. */
  watch(reach: BackplaneHandler): BackplaneHandler
  /** What a connection that was closed without an answer stands for; undefined: not for this. */
  of(program: ProgramName): EdgeError | undefined
}

/** A program that does not catch the error ends at once; one that was busy meanwhile is taken for one that hung up. */
const recentMs: Milliseconds = 2000
const most = 256

export function createRecentAways(now: () => Milliseconds = () => performance.now()): RecentAways {
  const told = new Map<ProgramName, { readonly error: EdgeError; readonly at: Milliseconds }>()

  function note(program: ProgramName, error: unknown): void {
    if (!(error instanceof EdgeError) || error.code !== 'object_away') return
    told.delete(program)
    told.set(program, { error, at: now() })
    if (told.size > most) told.delete(told.keys().next().value!)
  }

  return {
    watch: (reach) => async (request) => {
      try {
        return await reach(request)
      } catch (error) {
        note(request.id, error)
        throw error
      }
    },
    of(program) {
      const last = told.get(program)
      if (last === undefined) return undefined
      if (now() - last.at <= recentMs) return last.error
      told.delete(program)
      return undefined
    },
  }
}
