/** Lines that wait for an endpoint: bounded, sent in batches, tried again for a while, and counted where they are lost. */
import type { Limits } from '#/core/limits.ts'

export interface LogQueue {
  /** Never waits. */
  add(line: Uint8Array): void
  readonly dropped: number
  /** Sends what waits, once. Never rejects. */
  close(): Promise<void>
}

export interface QueueParts {
  /** Rejects when the lines have not arrived. */
  readonly send: (lines: readonly Uint8Array[]) => Promise<void>
  /** A batch was given up, or the queue was full; `reason` is the last failure. */
  readonly onLoss: (lines: number, reason: string) => void
  readonly limits: Pick<
    Limits,
    'computeLogQueueBytes' | 'computeLogBatchBytes' | 'computeLogFlushMs' | 'computeLogAttempts'
  >
}

export function createLogQueue({ send, onLoss, limits }: QueueParts): LogQueue {
  const waiting: Uint8Array[] = []
  let bytes = 0
  let dropped = 0
  let overflown = 0
  let timer: NodeJS.Timeout | undefined
  let sending: Promise<void> | undefined
  let closed = false
  /** Cuts a pause between attempts short. */
  let hurry: () => void = () => {}

  function take(): Uint8Array[] {
    let [count, size] = [0, 0]
    while (count < waiting.length && (count === 0 || size + waiting[count]!.length <= limits.computeLogBatchBytes))
      size += waiting[count++]!.length
    bytes -= size
    return waiting.splice(0, count)
  }

  function lose(lines: number, reason: string): void {
    dropped += lines
    onLoss(lines, reason)
  }

  async function deliver(lines: readonly Uint8Array[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await send(lines)
      } catch (failure) {
        if (attempt >= limits.computeLogAttempts || closed) return lose(lines.length, (failure as Error).message)
        await pause(limits.computeLogFlushMs * 2 ** (attempt - 1))
      }
    }
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      timer.unref()
      hurry = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      await deliver(take())
      if (overflown > 0) lose(overflown, 'the queue was full')
      overflown = 0
    }
  }

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    sending ??= drain().finally(() => {
      sending = undefined
    })
  }

  return {
    add(line) {
      if (closed || bytes + line.length > limits.computeLogQueueBytes) {
        overflown++
        if (sending === undefined) flush()
        return
      }
      waiting.push(line)
      bytes += line.length
      if (bytes >= limits.computeLogBatchBytes) flush()
      else timer ??= setTimeout(flush, limits.computeLogFlushMs).unref()
    },
    get dropped() {
      return dropped + overflown
    },
    async close() {
      closed = true
      hurry()
      flush()
      await sending
    },
  }
}
