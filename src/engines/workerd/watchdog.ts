/** Heartbeats of a cell: workerd has one thread, so a cell that answers anything at all is not stuck in a program. */
import { createConnection, type Socket } from 'node:net'
import type { Milliseconds } from '#/core/units.ts'

export interface WatchdogOptions {
  readonly socketPath: string
  readonly beatMs: Milliseconds
  readonly stallMs: Milliseconds
  /** Called once, when no answer came for `stallMs`. */
  readonly onStall: () => void
}

const question = 'GET /beat HTTP/1.1\r\nHost: beat\r\n\r\n'

/** Asks on one kept connection every `beatMs`. Returns how to stop. */
export function watchCell({ socketPath, beatMs, stallMs, onStall }: WatchdogOptions): () => void {
  let socket: Socket | undefined
  let askedAt: number | undefined
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
      if (now - askedAt < stallMs || stopped) return
      stop()
      onStall()
      return
    }
    socket ??= dial()
    askedAt = now
    socket.write(question)
  }

  const timer = setInterval(tick, beatMs)
  timer.unref()
  return stop
}
