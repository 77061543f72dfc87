/** What programs and doors ask of a queue's home, through `HomedStores`: how it is written, and read again. */
import type { HomedStores, StoreAnswer, StoreCall } from './homed-stores.ts'
import type { MeshHead } from './mesh.ts'
import { messageTypes, type QueueMetrics } from './program-events.ts'
import {
  type PulledMessage,
  type PullVerdict,
  type PullWish,
  type QueueRefusal,
  queueLimits,
  type SentMessage,
} from './queues.ts'
import { bytesOf, bytesUpTo } from './store-body.ts'
import type { Seconds } from './units.ts'

export interface QueueCalls {
  /** `delayS` counts where a message has none. What is refused is refused whole. */
  send(
    id: string,
    messages: readonly SentMessage[],
    delayS?: Seconds,
  ): Promise<Refusable<{ readonly metrics: QueueMetrics }>>
  metrics(id: string): Promise<QueueMetrics>
  pull(id: string, wish: Partial<PullWish>): Promise<Refusable<Pulled>>
  answer(id: string, verdict: PullVerdict): Promise<Refusable<PullAnswered>>
  purge(id: string): Promise<void>
}

export type Refusable<Answer> = (Answer & { readonly refused?: never }) | { readonly refused: QueueRefusal }

export interface Pulled {
  readonly backlog: number
  readonly messages: readonly (PulledMessage & { readonly body: Uint8Array })[]
}

export interface PullAnswered {
  readonly acked: number
  readonly retried: number
  /** Leases that are over. */
  readonly unknown: readonly string[]
}

/** Rejects like `HomedStores.call`. */
export function queueCalls(homed: Pick<HomedStores, 'call'>): QueueCalls {
  const ask = async (id: string, operation: string, head: object = {}, body: Uint8Array | null = null) =>
    homed.call({ kind: 'queue', id, operation, head: head as MeshHead, body })
  return {
    async send(id, messages, delayS) {
      const heads = messages.map(({ type, body, delayS: own }) => ({
        ...{ type, bytes: body.length },
        ...(own !== undefined && { delayS: own }),
      }))
      const bodies = Buffer.concat(messages.map(({ body }) => body))
      const head = { messages: heads, ...(delayS !== undefined && { delayS }) }
      return headOf(await ask(id, 'send', head, bodies)) as Refusable<{ metrics: QueueMetrics }>
    },
    async metrics(id) {
      return (headOf(await ask(id, 'metrics')) as { metrics: QueueMetrics }).metrics
    },
    async pull(id, wish) {
      const answer = await ask(id, 'pull', wish)
      const head = answer.head as unknown as Refusable<{ backlog: number; messages: PulledMessage[] }>
      const all = await bytesOf(answer.body)
      if (head.refused !== undefined) return head
      let at = 0
      const messages = head.messages.map((message) => {
        at += message.bytes
        return { ...message, body: all.subarray(at - message.bytes, at) }
      })
      return { ...head, messages }
    },
    async answer(id, verdict) {
      return headOf(await ask(id, 'answer', verdict)) as Refusable<PullAnswered>
    },
    async purge(id) {
      headOf(await ask(id, 'purge'))
    },
  }
}

/** Of answers that have no body. */
function headOf({ head, body }: StoreAnswer): unknown {
  if (body !== null && !(body instanceof Uint8Array)) body.resume()
  return head
}

/** Undefined where no caller of ours wrote it. */
export async function readSent({
  head,
  body,
}: StoreCall): Promise<{ messages: SentMessage[]; delayS?: Seconds } | undefined> {
  const { messages: heads, delayS } = head as unknown as {
    messages: readonly { type: SentMessage['type']; bytes: number; delayS?: Seconds }[]
    delayS?: Seconds
  }
  const all = await bytesUpTo(body, queueLimits.messageBytes * queueLimits.batchMessages)
  if (all === undefined) return undefined
  let at = 0
  const messages = heads.map(({ type, bytes, delayS: own }) => {
    at += bytes
    return { type, body: all.subarray(at - bytes, at), ...(own !== undefined && { delayS: own }) }
  })
  const isWhole = at === all.length && messages.every(({ type }) => messageTypes.includes(type))
  return isWhole ? { messages, ...(delayS !== undefined && { delayS }) } : undefined
}
