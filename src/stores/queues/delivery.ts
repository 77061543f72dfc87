/** Hands the messages of one queue to its consumer: batches as they fill or as they have waited, several at once. */
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { EventOutcome, QueueEvent, QueueMetrics } from '#/core/program-events.ts'
import { type QueueConsumer, type QueueSettings, queueLimits } from '#/core/queues.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import type { Clock, EpochMs, Milliseconds } from '#/core/units.ts'
import type { Answer, Look, NewMessage, Operation, TakenMessage } from './operations.ts'
import { settle } from './settle.ts'

export interface DeliveryParts {
  readonly submit: (operation: Operation) => Promise<Answer>
  /** Removes messages, soon: after a crash they are told again. */
  readonly forget: (seqs: readonly number[]) => void
  /** Undefined: the queue is gone. */
  readonly queue: () => { readonly name: string; readonly settings: QueueSettings } | undefined
  readonly deliver: (program: ProgramName, event: QueueEvent) => Promise<EventOutcome>
  /** Resolves once they are safe in the queue of this name; rejects when they may not be. */
  readonly bury: (deadLetterQueue: string, messages: readonly TakenMessage[]) => Promise<void>
  readonly clock: Clock
  readonly limits: Pick<Limits, 'queueDeliveries' | 'queueGatherMs' | 'queueBackOffMs' | 'queueBackOffMostMs'>
  readonly log: (message: string, facts: object) => void
}

export interface Delivery {
  /** Something came, became due, or was set otherwise. Cheap. */
  wake(): void
  /** Sends, and has the consumer told out of the same transaction where it waits for nothing else. */
  send(messages: readonly NewMessage[]): Promise<Answer>
  /** Nothing is under way, and nothing will be due before then; undefined: there is nothing to wait for. */
  readonly restsUntil: EpochMs | undefined | 'busy'
  /** Dead messages: to the dead letter queue, or nowhere. */
  bury(consumer: QueueConsumer, dead: readonly TakenMessage[]): Promise<void>
  close(): void
}

type WorkerConsumer = Extract<QueueConsumer, { type: 'worker' }>

export function createDelivery(parts: DeliveryParts): Delivery {
  const { submit, clock, limits } = parts
  let closed = false
  let looking = false
  let again = false
  let underWay = 0
  /** Sends that may come back with something to deliver. */
  let claimed = 0
  let timer: NodeJS.Timeout | undefined
  let nextAt: EpochMs | undefined
  /** Of failures that are not the consumer's: its node, its engine. */
  let backOff: Milliseconds = 0
  let held: EpochMs = 0

  function wakeAt(at: EpochMs): void {
    if (closed || (timer !== undefined && nextAt !== undefined && nextAt <= at)) return
    clearTimeout(timer)
    nextAt = at
    timer = setTimeout(
      () => {
        timer = undefined
        nextAt = undefined
        wake()
      },
      Math.min(Math.max(at - clock(), 0), 86_400_000),
    )
    timer.unref()
  }

  function wake(): void {
    again = true
    if (looking || closed) return
    looking = true
    void run().finally(() => {
      looking = false
      if (again && !closed) wake()
    })
  }

  async function run(): Promise<void> {
    while (again && !closed) {
      again = false
      try {
        await fill()
      } catch (err) {
        parts.log('a queue cannot be read', { queue: parts.queue()?.name, err })
        wakeAt(clock() + limits.queueBackOffMostMs)
      }
    }
  }

  function consumerNow(): WorkerConsumer | undefined {
    const { settings } = parts.queue() ?? {}
    return settings === undefined || settings.paused || settings.consumer?.type !== 'worker'
      ? undefined
      : settings.consumer
  }

  const hasRoom = ({ maxConcurrency = limits.queueDeliveries }: WorkerConsumer) =>
    underWay + claimed < Math.min(maxConcurrency, queueLimits.concurrency)

  /** The answer to one batch may still be on its way when the next message comes; that is not busy yet. */
  const isBusy = () => underWay + claimed >= 2

  /** Beside others a batch gathers for a moment: few large ones cost less than many small ones. */
  const waitOf = ({ maxWaitMs }: WorkerConsumer) => (isBusy() ? Math.max(maxWaitMs, limits.queueGatherMs) : maxWaitMs)

  async function send(messages: readonly NewMessage[]): Promise<Answer> {
    const consumer = consumerNow()
    const claims = consumer?.maxWaitMs === 0 && held <= clock() && !looking && !isBusy() && hasRoom(consumer)
    if (!claims) {
      const answer = await submit({ kind: 'send', messages })
      wake()
      return answer
    }
    const take = { kind: 'take', least: 1, most: consumer.batchSize, mostBytes: queueLimits.batchBytes } as const
    claimed++
    const answer = await submit({ kind: 'send', messages, take }).finally(() => claimed--)
    if (answer.taken!.length > 0) void tell(consumer, answer.taken!, answer)
    else wake()
    return answer
  }

  /** Starts as many deliveries as there are messages for and may be. */
  async function fill(): Promise<void> {
    for (;;) {
      const consumer = consumerNow()
      if (consumer === undefined) return
      if (held > clock()) return wakeAt(held)
      if (!hasRoom(consumer)) return
      const { batchSize } = consumer
      const maxWaitMs = waitOf(consumer)
      const take = { kind: 'take', most: batchSize, mostBytes: queueLimits.batchBytes } as const
      const now = clock()
      const answer = await submit({ ...take, least: maxWaitMs === 0 ? 1 : batchSize })
      const { firstDue } = answer
      if (answer.taken!.length > 0) void tell(consumer, answer.taken!, answer)
      else if (firstDue === undefined) return
      else if (firstDue > now) return wakeAt(firstDue + maxWaitMs)
      else if (firstDue + maxWaitMs > now) return wakeAt(firstDue + maxWaitMs)
      else {
        const late = await submit({ ...take, least: 1 })
        if (late.taken!.length > 0) void tell(consumer, late.taken!, late)
      }
    }
  }

  async function tell(consumer: WorkerConsumer, messages: readonly TakenMessage[], { metrics }: Look): Promise<void> {
    underWay++
    try {
      const outcome = await parts.deliver(consumer.program, eventOf(parts.queue()?.name ?? '', messages, metrics))
      backOff = 0
      await settleAll(consumer, messages, outcome)
    } catch (err) {
      await failed(consumer, messages, err)
    } finally {
      underWay--
      wake()
    }
  }

  async function settleAll(consumer: QueueConsumer, messages: readonly TakenMessage[], outcome: EventOutcome) {
    const { gone, later, dead } = settle(messages, outcome, consumer, clock())
    await bury(consumer, dead)
    parts.forget(gone)
    if (later.length > 0) await submit({ kind: 'settle', gone: [], later })
  }

  /** A consumer that does not start or breaks off was tried; one that nobody could reach was not. */
  async function failed(consumer: QueueConsumer, messages: readonly TakenMessage[], err: unknown): Promise<void> {
    parts.log('a queue could not tell its consumer', { queue: parts.queue()?.name, err })
    const wasTried = err instanceof EdgeError && (err.row.source === 'program' || err.code === 'internal')
    try {
      if (wasTried) return await settleAll(consumer, messages, { end: 'exception' })
      backOff = Math.min(Math.max(backOff * 2, limits.queueBackOffMs), limits.queueBackOffMostMs)
      held = clock() + backOff
      const later = messages.map(({ seq, attempts }) => ({ seq, attempts, due: clock() }))
      await submit({ kind: 'settle', gone: [], later })
    } catch (error) {
      // They stay this consumer's until the queue is opened again.
      parts.log('a queue cannot be written', { queue: parts.queue()?.name, err: error })
    }
  }

  async function bury({ deadLetterQueue }: QueueConsumer, dead: readonly TakenMessage[]): Promise<void> {
    if (dead.length === 0) return
    const facts = { queue: parts.queue()?.name, count: dead.length, deadLetterQueue }
    try {
      if (deadLetterQueue !== undefined) await parts.bury(deadLetterQueue, dead)
      else parts.log('messages were tried too often and are dropped', facts)
      await submit({ kind: 'settle', gone: dead.map(({ seq }) => seq), later: [] })
    } catch (err) {
      parts.log('messages cannot be moved to their dead letter queue', { ...facts, err })
      // As often tried as before, so that the next failure brings them here again.
      const later = dead.map(({ seq, attempts }) => ({ seq, attempts, due: clock() + limits.queueBackOffMostMs }))
      await submit({ kind: 'settle', gone: [], later })
    }
  }

  return {
    wake,
    send,
    bury,
    get restsUntil() {
      return looking || underWay > 0 || claimed > 0 ? 'busy' : nextAt
    },
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}

function eventOf(queue: string, messages: readonly TakenMessage[], metrics: QueueMetrics): QueueEvent {
  const backlogCount = Math.max(metrics.backlogCount - messages.length, 0)
  const backlogBytes = Math.max(metrics.backlogBytes - messages.reduce((sum, { body }) => sum + body.length, 0), 0)
  const told = messages.map(({ seq: _, attempts, ...message }) => ({ ...message, attempts: attempts + 1 }))
  return { kind: 'queue', queue, messages: told, metrics: { ...metrics, backlogCount, backlogBytes } }
}
