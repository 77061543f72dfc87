/** What a queue answers at its home. */
import { randomUUID } from 'node:crypto'
import { EdgeError } from '#/core/errors.ts'
import type { StoreAnswer, StoreCall } from '#/core/homed-stores.ts'
import type { MeshHead } from '#/core/mesh.ts'
import { readSent } from '#/core/queue-calls.ts'
import {
  type PullVerdict,
  type PullWish,
  type QueueRefusal,
  type QueueSettings,
  refuseMessages,
} from '#/core/queues.ts'
import type { Clock } from '#/core/units.ts'
import type { OpenQueue } from './open-queue.ts'

const told = (head: object): StoreAnswer => ({ head: head as MeshHead, body: null })
const refused = (refusal: QueueRefusal): StoreAnswer => told({ refused: refusal })

/** Words: `send`, `metrics`, `pull`, `answer`, `purge`; see `queueCalls`. */
export async function answerCall(
  call: StoreCall,
  queue: OpenQueue,
  settings: QueueSettings,
  clock: Clock,
): Promise<StoreAnswer> {
  switch (call.operation) {
    case 'send':
      return send(call, queue, settings, clock)
    case 'metrics':
      return told({ metrics: (await queue.submit({ kind: 'look' })).metrics })
    case 'pull':
      return pull(call.head as Partial<PullWish>, queue, settings)
    case 'answer':
      return answer(call.head as unknown as PullVerdict, queue, settings)
    case 'purge':
      await queue.submit({ kind: 'purge' })
      return told({})
  }
  throw new EdgeError('internal', `A queue knows no ${call.operation}.`)
}

async function send(call: StoreCall, queue: OpenQueue, settings: QueueSettings, clock: Clock): Promise<StoreAnswer> {
  const sent = await readSent(call)
  if (sent === undefined) return refused({ status: 400, code: 10207, message: 'the messages do not fit their head' })
  const refusal = refuseMessages(sent.messages, sent.delayS)
  if (refusal !== undefined) return refused(refusal)
  const now = clock()
  const messages = sent.messages.map(({ type, body, delayS }) => ({
    id: randomUUID().replaceAll('-', ''),
    type,
    body,
    due: now + (delayS ?? sent.delayS ?? settings.deliveryDelayS) * 1000,
  }))
  try {
    const { metrics } = await queue.send(messages)
    return told({ metrics })
  } catch (error) {
    const isFull =
      error instanceof EdgeError && (error.code === 'storage_full' || /the queue is full/.test(error.message))
    if (isFull) return refused({ status: 429, code: 10251, message: 'Queue storage limit exceeded' })
    if (error instanceof EdgeError && error.code === 'overloaded')
      return refused({ status: 429, code: 10250, message: 'Queue is overloaded' })
    throw error
  }
}

const noPull: QueueRefusal = {
  status: 400,
  code: 11003,
  message: 'HTTP pull is not enabled for this queue: add a consumer of type http_pull.',
}

async function pull(wish: Partial<PullWish>, queue: OpenQueue, { consumer }: QueueSettings): Promise<StoreAnswer> {
  if (consumer?.type !== 'pull') return refused(noPull)
  const { batchSize = consumer.batchSize, visibilityMs = consumer.visibilityMs } = wish
  const maxAttempts = consumer.maxRetries + 1
  const asked = { kind: 'pull', batchSize, visibilityMs, maxAttempts } as const
  const { pulled = [], dead = [], metrics } = await queue.submit(asked)
  await queue.bury(consumer, dead)
  const messages = pulled.map(({ body: _, ...message }) => message)
  const backlog = Math.max(metrics.backlogCount - dead.length, 0)
  return { head: { messages, backlog }, body: Buffer.concat(pulled.map(({ body }) => body)) }
}

async function answer(verdict: PullVerdict, queue: OpenQueue, { consumer }: QueueSettings): Promise<StoreAnswer> {
  if (consumer?.type !== 'pull') return refused(noPull)
  const { maxRetries, retryDelayS = 0 } = consumer
  const rules = { maxAttempts: maxRetries + 1, retryDelayMs: retryDelayS * 1000 }
  const { acks, retries } = verdict
  const {
    acked = 0,
    retried = 0,
    unknown = [],
    dead = [],
  } = await queue.submit({ kind: 'answer', acks, retries, ...rules })
  await queue.bury(consumer, dead)
  return told({ acked, retried, unknown })
}
