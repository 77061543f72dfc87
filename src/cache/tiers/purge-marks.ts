/** Marks in the log of purges: how far the cache's own journal, which is written at the same time, is known to have come. */
import type { Milliseconds } from '#/core/units.ts'

/** Between two marks that go without purges, which are not synced: one that is lost costs purging something twice. */
const markMs: Milliseconds = 100

/**
 * How many of the lines, counted from the first of this process, the cache's journal has: all up to one, in the order in which
 * they were handed over. One that it could not take stays open for good, with all behind it.
 */
export function createMarks(begun: number, wake: () => void) {
  let handed = begun
  let covered = 0
  let told = 0
  let before: Promise<unknown> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  return {
    /** Lines in the files. */
    written: 0,
    get covered() {
      return covered
    },
    cover(lines: number, journaled: Promise<unknown>): void {
      handed += lines
      const upTo = handed
      before = before.then(() => journaled)
      before.then(
        () => {
          covered = upTo
          timer ??= setTimeout(wake, markMs).unref()
        },
        () => {},
      )
    },
    /** A line that says how far it has come, where that is news. */
    take(): string {
      const reached = Math.min(covered, this.written)
      clearTimeout(timer)
      timer = undefined
      if (reached === told) return ''
      told = reached
      return markLine(this.written - reached)
    },
    close: () => clearTimeout(timer),
  }
}

/** The cache's journal has all lines before this one, but for the last `open`. */
export function markLine(open: number): string {
  return `${JSON.stringify({ open })}\n`
}
