/**
 * What a program's uncaught exceptions said: workerd answers them with a bare 500 and writes the words to stderr, in the
 * same order as the answers but over another pipe.
 */
import type { Milliseconds } from '#/core/units.ts'

export interface ExceptionWords {
  /** For each line of the process. */
  onLine(line: string): void
  /** Words of the exception behind an answer that has just come, e.g. `TypeError: boom`; waits a moment for them. */
  next(): Promise<string | undefined>
}

const exceptionLine = /Uncaught exception: .*?remote\.(?:[\w.-]+; )*jsg\.(.+)$/

/** Words older than this belong to nobody: the exception was passed over to the origin. */
const freshMs: Milliseconds = 500
const waitMs: Milliseconds = 20
const keptLines = 32

export function createExceptionWords(now: () => Milliseconds = () => performance.now()): ExceptionWords {
  const said: { words: string; at: Milliseconds }[] = []
  const waiting: ((words: string) => void)[] = []
  return {
    onLine(line) {
      const words = exceptionLine.exec(line)?.[1]
      if (words === undefined) return
      const first = waiting.shift()
      if (first !== undefined) return first(words)
      said.push({ words, at: now() })
      if (said.length > keptLines) said.shift()
    },
    async next() {
      while (said[0] !== undefined && now() - said[0].at > freshMs) said.shift()
      const ready = said.shift()
      if (ready !== undefined) return ready.words
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          waiting.splice(waiting.indexOf(heard), 1)
          resolve(undefined)
        }, waitMs)
        const heard = (words: string) => {
          clearTimeout(timer)
          resolve(words)
        }
        waiting.push(heard)
      })
    },
  }
}
