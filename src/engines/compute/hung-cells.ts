/** Cells that hold a program that even the watch cannot stop. */
import type { Limits } from '#/core/limits.ts'
import type { ComputeCell } from './cell.ts'
import { mainThreadCpuMs } from './main-thread-cpu.ts'

/** Silence since a ping, ms. */
export interface Silence {
  readonly silentMs: number
  /** Processor time that the cell had meanwhile; undefined: nobody knows. */
  readonly usedMs: number | undefined
  readonly hangMs: number
}

/** A cell that gets no processor is silent for so many times as long before it counts as hung. */
const patience = 6

/** Silent in spite of half the time on a processor, or for very long: on a busy machine a cell is silent because it waits. */
export function isHung({ silentMs, usedMs, hangMs }: Silence): boolean {
  if (silentMs < hangMs) return false
  return usedMs === undefined || usedMs >= hangMs / 2 || silentMs >= patience * hangMs
}

/** Asks a cell for a sign, unless it is asked already. One that gives none is killed with all in it. */
export function ping(
  cell: ComputeCell,
  { limits, log }: { readonly limits: Limits; readonly log: (message: string, facts?: object) => void },
): void {
  if (cell.pinged) return
  cell.pinged = true
  const hangMs = limits.computeHangMs
  const pingedAt = performance.now()
  const usedBefore = cpuOf(cell)
  const look = (): void => {
    const usedNow = cpuOf(cell)
    const usedMs = usedBefore === undefined || usedNow === undefined ? undefined : usedNow - usedBefore
    if (!isHung({ silentMs: performance.now() - pingedAt, usedMs, hangMs })) return
    clearInterval(timer)
    log('cell hung', { cell: cell.name, inFlight: cell.inFlight })
    cell.kill()
  }
  const timer = setInterval(look, Math.max(1, hangMs / 5)).unref()
  const answered = () => {
    clearInterval(timer)
    cell.pinged = false
  }
  cell.line.call({ do: 'ping' }, null).reply.then(answered, answered)
}

function cpuOf({ pid }: ComputeCell): number | undefined {
  try {
    return mainThreadCpuMs(pid)
  } catch {
    return undefined
  }
}
