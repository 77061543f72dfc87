/** For programs that crash tests run until they kill them. */
import { writeSync } from 'node:fs'

/** To standard output, in the pipe when it returns. Waits while that is full: a slow reader must not end the writer. */
export function printLine(line: string): void {
  for (;;) {
    try {
      writeSync(1, `${line}\n`)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
  }
}
