/** One queue that is open: its database in a thread of its own, and its delivery. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { OpenGroupCommit } from '#/core/group-commit.ts'
import type { Limits } from '#/core/limits.ts'
import type { EpochMs } from '#/core/units.ts'
import { createDelivery, type Delivery, type DeliveryParts } from './delivery.ts'
import type { Answer, Operation } from './operations.ts'
import type { QueueDatabaseData } from './queue-database.ts'

export interface OpenQueue {
  submit(operation: Operation): Promise<Answer>
  send: Delivery['send']
  wake(): void
  bury: Delivery['bury']
  /** Removes what is older than the queue keeps. */
  expire(): Promise<void>
  readonly restsUntil: Delivery['restsUntil']
  readonly usedAt: EpochMs
  close(): Promise<void>
}

export interface OpenQueueOptions extends Omit<DeliveryParts, 'submit' | 'forget'> {
  readonly folder: string
  readonly openGroupCommit: OpenGroupCommit
  readonly limits: Limits
}

export async function openQueue(options: OpenQueueOptions): Promise<OpenQueue> {
  const { folder, clock, limits } = options
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const data: QueueDatabaseData = { file: join(folder, 'messages.db'), limitBytes: limits.queueBytes }
  const writer = await options.openGroupCommit<Operation, Answer>({
    module: new URL('./queue-database.ts', import.meta.url),
    data,
    name: 'queue',
    sizeOf: (operation) =>
      operation.kind === 'send' ? operation.messages.reduce((sum, { body }) => sum + body.length, 0) : 0,
    clock,
    limits,
  })
  let usedAt = clock()
  let last: Answer | undefined
  /** Acknowledged; removed with the next operation, which shares its sync of the disk, or a moment later. */
  let gone: number[] = []
  let forgetting: NodeJS.Timeout | undefined
  function flush(): void {
    clearTimeout(forgetting)
    forgetting = undefined
    if (gone.length === 0) return
    const seqs = gone
    gone = []
    writer.submit({ kind: 'settle', gone: seqs, later: [] }).then(
      (answer) => {
        last = answer
      },
      (err: unknown) => options.log('a queue cannot be written', { queue: options.queue()?.name, err }),
    )
  }
  const submit = async (operation: Operation): Promise<Answer> => {
    flush()
    last = await writer.submit(operation)
    return last
  }
  function forget(seqs: readonly number[]): void {
    gone.push(...seqs)
    forgetting ??= setTimeout(flush, limits.queueForgetMs)
  }
  const delivery = createDelivery({ ...options, submit, forget })

  /** When the oldest message is not kept any longer. */
  function endsAt(): EpochMs | undefined {
    const oldest = last?.metrics.oldestMessageTimestamp
    const settings = options.queue()?.settings
    return oldest === undefined || settings === undefined ? undefined : oldest + settings.retentionS * 1000
  }

  return {
    submit(operation) {
      usedAt = clock()
      return submit(operation)
    },
    send(messages) {
      usedAt = clock()
      return delivery.send(messages)
    },
    wake: delivery.wake,
    bury: delivery.bury,
    async expire() {
      const at = endsAt()
      if (at === undefined || at > clock()) return
      await submit({ kind: 'expire', sentBefore: clock() - options.queue()!.settings.retentionS * 1000 })
    },
    get restsUntil() {
      const rests = delivery.restsUntil
      const ends = endsAt()
      if (rests === 'busy' || forgetting !== undefined) return 'busy'
      if (ends === undefined) return rests
      return Math.min(rests ?? ends, ends)
    },
    get usedAt() {
      return usedAt
    },
    async close() {
      delivery.close()
      flush()
      await writer.close()
    },
  }
}
