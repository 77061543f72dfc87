/** Memory of a process, from the kernel's books. */
import { readFileSync } from 'node:fs'

/** Second field of /proc/PID/statm, in pages of 4 KiB; 0 when the process is gone. */
export function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * 4096
  } catch {
    return 0
  }
}
