/** What is asked of a queue's database, and answered. Copied between threads. */
import type { MessageType, QueueMetrics } from '#/core/program-events.ts'
import type { PulledMessage, PullVerdict, PullWish } from '#/core/queues.ts'
import type { Bytes, EpochMs, Milliseconds } from '#/core/units.ts'

export type Operation =
  /** `take`: what its consumer is to have next, out of the same transaction. */
  | { readonly kind: 'send'; readonly messages: readonly NewMessage[]; readonly take?: TakeOperation }
  | TakeOperation
  /** Of what was taken: gone, or due again. */
  | { readonly kind: 'settle'; readonly gone: readonly number[]; readonly later: readonly Later[] }
  | ({ readonly kind: 'pull'; readonly maxAttempts: number } & PullWish)
  | ({ readonly kind: 'answer'; readonly maxAttempts: number; readonly retryDelayMs: Milliseconds } & PullVerdict)
  | { readonly kind: 'purge' }
  /** Removes what was sent before then. */
  | { readonly kind: 'expire'; readonly sentBefore: EpochMs }
  | { readonly kind: 'look' }

export interface NewMessage {
  readonly id: string
  readonly type: MessageType
  readonly body: Uint8Array
  readonly due: EpochMs
}

/** Up to `most` messages that are due, once there are `least`: they are nobody else's until they are settled. */
export interface TakeOperation {
  readonly kind: 'take'
  readonly least: number
  readonly most: number
  readonly mostBytes: Bytes
}

export interface Later {
  readonly seq: number
  readonly due: EpochMs
  /** How often it was tried by now. */
  readonly attempts: number
}

export interface TakenMessage {
  readonly seq: number
  readonly id: string
  readonly sentAt: EpochMs
  readonly type: MessageType
  readonly body: Uint8Array
  /** How often it was tried before. */
  readonly attempts: number
}

export interface Look {
  readonly metrics: QueueMetrics
  /** When the first one that nobody has is, or was, due. */
  readonly firstDue?: EpochMs
}

export type Answer = Look & {
  /** Of `take`, and of `send` with one. */
  readonly taken?: readonly TakenMessage[]
  /** Of `pull`. */
  readonly pulled?: readonly (PulledMessage & { readonly body: Uint8Array })[]
  /** Of `pull` and `answer`: tried too often; nobody's until they are settled. */
  readonly dead?: readonly TakenMessage[]
  /** Of `answer`: leases that were known. */
  readonly acked?: number
  readonly retried?: number
  readonly unknown?: readonly string[]
}
