/**
 * What waits in front of a thread that takes one batch at a time: whatever is asked for while a batch runs goes into the
 * next, so that many share one fsync.
 */
import { EdgeError } from './errors.ts'

export interface BatchQueue<Call, Outcome, Answer> {
  /** Rejects with what `settle` throws, with `overloaded`, or with `internal` once it is closed or the thread ended. */
  ask(call: Call): Promise<Answer>
  /** The thread has done the batch: one outcome for each of its calls, in order. */
  answered(outcomes: readonly Outcome[]): void
  /** The thread ended by itself. */
  broke(error: Error): void
  /** The thread ended by itself, or the queue was closed before. */
  readonly isOver: boolean
  /** Takes nothing more; resolves when nothing waits. */
  close(): Promise<void>
}

export interface BatchQueueOptions<Call, Outcome, Answer> {
  /** What waits there, for messages: «the buckets' index». */
  readonly name: string
  /** To the thread. */
  readonly send: (calls: readonly Call[]) => void
  /** What a call is told of its outcome; throws where that is an error. */
  readonly settle: (outcome: Outcome) => Answer
  /** Calls in a batch. */
  readonly batch: number
  /** What may wait and run together, in the units of `sizeOf`. */
  readonly most: number
  /** Absent: calls are counted. */
  readonly sizeOf?: (call: Call) => number
}

interface Pending<Call, Answer> {
  readonly call: Call
  readonly size: number
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

export function createBatchQueue<Call, Outcome, Answer>(
  options: BatchQueueOptions<Call, Outcome, Answer>,
): BatchQueue<Call, Outcome, Answer> {
  const { name, send, settle, batch, most, sizeOf = () => 1 } = options
  let queue: Pending<Call, Answer>[] = []
  let running: readonly Pending<Call, Answer>[] = []
  let held = 0
  let isPumping = false
  let ended: Error | undefined
  let idle: (() => void) | undefined

  function pump(): void {
    isPumping = false
    if (running.length > 0) return
    if (queue.length === 0) {
      idle?.()
      return
    }
    running = queue.slice(0, batch)
    queue = queue.slice(batch)
    send(running.map(({ call }) => call))
  }

  return {
    ask(call) {
      if (ended !== undefined)
        return Promise.reject(new EdgeError('internal', `It is over with ${name}.`, { cause: ended }))
      const size = sizeOf(call)
      if (held + size > most)
        return Promise.reject(new EdgeError('overloaded', `More calls are waiting for ${name} than may wait.`))
      held += size
      return new Promise((resolve, reject) => {
        queue.push({ call, size, resolve, reject })
        if (isPumping) return
        isPumping = true
        queueMicrotask(pump)
      })
    },
    answered(outcomes) {
      const done = running
      running = []
      // The disk gets its next batch before anybody hears of the last one.
      pump()
      for (const [index, { size, resolve, reject }] of done.entries()) {
        held -= size
        try {
          resolve(settle(outcomes[index]!))
        } catch (error) {
          reject(error)
        }
      }
    },
    broke(error) {
      ended = error
      const lost = [...running, ...queue]
      running = []
      queue = []
      held = 0
      for (const { reject } of lost)
        reject(new EdgeError('internal', `The thread of ${name} ended: ${error.message}.`, { cause: error }))
      idle?.()
    },
    get isOver() {
      return ended !== undefined
    },
    async close() {
      ended = new Error('closed')
      if (queue.length + running.length === 0) return
      const { promise, resolve } = Promise.withResolvers<void>()
      idle = resolve
      await promise
    },
  }
}
