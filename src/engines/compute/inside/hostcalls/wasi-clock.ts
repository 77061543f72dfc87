/** Error numbers and clocks of WASI preview 1. */
import type { Sandbox } from '../sandbox.ts'

export const errno = {
  success: 0,
  badf: 8,
  fault: 21,
  inval: 28,
  nosys: 52,
  notdir: 54,
  notsock: 57,
  spipe: 70,
} as const

/** Nanoseconds; undefined where there is no such clock. 0 real time, 1 monotonic, 2 and 3 the program's processor time. */
export function clockTime(sandbox: Sandbox, clock: number): bigint | undefined {
  if (clock < 0 || clock > 3) return undefined
  return BigInt(Math.round(clockMs(sandbox, clock) * 1000)) * 1000n
}

function clockMs(sandbox: Sandbox, clock: number): number {
  if (clock === 0) return Date.now()
  if (clock === 1) return performance.now()
  return sandbox.cpuMs + performance.now() - sandbox.turnBegan
}
