/**
 * Heartbeats of a cell: workerd has one thread, so a cell that answers anything at all is not stuck in a program. Silence
 * alone proves nothing on a busy machine, where a cell waits for its turn: a stuck one also uses the processor.
 */
import { createConnection, type Socket } from 'node:net'
import type { Milliseconds } from '#/core/units.ts'

export interface WatchdogOptions {
  readonly socketPath: string
  readonly beatMs: Milliseconds
  readonly stallMs: Milliseconds
  /** Processor time of the process so far. */
  readonly cpu: () => Milliseconds
  /** Called once, when no answer came for `stallMs` and most of them were used up, or for many times `stallMs`. */
  readonly onStall: () => void
}

/** Of `stallMs`: what a stuck cell has used at least; the rest is for the kernel's coarse counting and a neighbour's turn. */
const cpuShare = 0.6

/** Times `stallMs`: a cell that is silent and idle for so long is broken in some other way. */
const patience = 10

const question = 'GET /beat HTTP/1.1\r\nHost: beat\r\n\r\n'

/** Asks on one kept connection every `beatMs`. Returns how to stop. */
export function watchCell({ socketPath, beatMs, stallMs, cpu, onStall }: WatchdogOptions): () => void {
  let socket: Socket | undefined
  let askedAt: number | undefined
  let cpuBefore: Milliseconds = 0
  let stopped = false
  /** A tick that comes late says that we slept, not the cell: it gets its time anew. */
  let lastTick = performance.now()

  function stop(): void {
    stopped = true
    clearInterval(timer)
    socket?.destroy()
  }

  function dial(): Socket {
    const fresh = createConnection({ path: socketPath })
    fresh.on('data', () => {
      askedAt = undefined
    })
    fresh.on('error', () => {})
    fresh.on('close', () => {
      if (socket === fresh) socket = undefined
    })
    fresh.unref()
    return fresh
  }

  function tick(): void {
    const now = performance.now()
    const late = now - lastTick > beatMs * 2
    lastTick = now
    if (askedAt !== undefined && late) askedAt = now
    if (askedAt !== undefined) {
      const silentMs = now - askedAt
      if (silentMs < stallMs || stopped) return
      if (silentMs < stallMs * patience && cpu() - cpuBefore < stallMs * cpuShare) return
      stop()
      onStall()
      return
    }
    socket ??= dial()
    askedAt = now
    cpuBefore = cpu()
    socket.write(question)
  }

  const timer = setInterval(tick, beatMs)
  timer.unref()
  return stop
}
