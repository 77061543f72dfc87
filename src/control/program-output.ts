/**
 * Output of programs, live, at this point of presence: from the engine to those who follow it. Best effort: a line that
 * nobody listens for is gone, and no request waits for a listener.
 */
import type { Limits } from '#/core/limits.ts'
import type { OutputLine, ProgramOutput } from '#/core/program-output.ts'
import type { ProgramName } from '#/core/snapshot.ts'

type Listener = (line: OutputLine) => void

export function createProgramOutput({ limits }: { readonly limits: Pick<Limits, 'outputLineBytes'> }): ProgramOutput {
  const listeners = new Map<ProgramName, Set<Listener>>()
  return {
    wanted: (program) => listeners.has(program),
    write(program, line) {
      const wanted = listeners.get(program)
      if (wanted === undefined) return
      const cut = { ...line, message: line.message.slice(0, limits.outputLineBytes) }
      setImmediate(() => tell(wanted, cut))
    },
    listen(program, listener) {
      const wanted = listeners.get(program) ?? new Set<Listener>()
      listeners.set(program, wanted.add(listener))
      return () => {
        wanted.delete(listener)
        if (wanted.size === 0 && listeners.get(program) === wanted) listeners.delete(program)
      }
    },
  }
}

function tell(listeners: ReadonlySet<Listener>, line: OutputLine): void {
  for (const listener of listeners)
    try {
      listener(line)
    } catch {
      // A listener that throws loses this line; the others go on.
    }
}
