import { readFileSync } from 'node:fs'

/** Processor time of a process's main thread so far, ms: so that a busy machine ends nobody early. Throws where it is gone. */
export function mainThreadCpuMs(pid: number): number {
  const [nanoseconds] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ', 1) as [string]
  return Number(nanoseconds) / 1e6
}
