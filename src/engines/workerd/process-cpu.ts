/** CPU time of a process, from the kernel's books. */
import { readFileSync } from 'node:fs'
import type { Milliseconds } from '#/core/units.ts'

/** User and system time of all its threads, in steps of 10 ms (proc(5), USER_HZ is 100); 0 when it is gone. */
export function cpuOf(pid: number): Milliseconds {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10
  } catch {
    return 0
  }
}
