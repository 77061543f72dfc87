/**
 * What a program is told besides requests: a schedule that is due, messages of a queue, traces of other programs. Whoever
 * has such an event gives it to `Engine.deliver`, with the deployment that is to hear of it.
 */
import type { ProgramName } from './snapshot.ts'
import type { Trace } from './traces.ts'
import type { EpochMs, Seconds } from './units.ts'

export type ProgramEvent = ScheduledEvent | QueueEvent | TailEvent | WorkflowRunEvent

/** `scheduled()` of its default export. */
export interface ScheduledEvent {
  readonly kind: 'scheduled'
  /** As it was set. */
  readonly cron: string
  readonly scheduledTime: EpochMs
}

/** `queue()` of its default export. */
export interface QueueEvent {
  readonly kind: 'queue'
  /** Name of the queue. */
  readonly queue: string
  readonly messages: readonly QueueMessage[]
  /** What the queue still holds besides these. */
  readonly metrics: QueueMetrics
}

export interface QueueMetrics {
  readonly backlogCount: number
  readonly backlogBytes: number
  /** Absent when it is empty. */
  readonly oldestMessageTimestamp?: EpochMs
}

/** `v8`: serialized by a program's own runtime. */
export const messageTypes = ['text', 'bytes', 'json', 'v8'] as const
export type MessageType = (typeof messageTypes)[number]

export interface QueueMessage {
  readonly id: string
  readonly sentAt: EpochMs
  readonly type: MessageType
  readonly body: Uint8Array
  /** 1 at the first delivery. */
  readonly attempts: number
}

/** `tail()` of its default export. */
export interface TailEvent {
  readonly kind: 'tail'
  readonly traces: readonly Trace[]
}

/** `run()` of a class that extends `WorkflowEntrypoint`; what it is given and does is asked of the workflow's home. */
export interface WorkflowRunEvent {
  readonly kind: 'workflow'
  /** Id of the resource. */
  readonly workflow: string
  readonly program: ProgramName
  readonly className: string
  /** Id of the instance. */
  readonly instance: string
  /** Which of the instance's runs this is. */
  readonly run: number
}

/** How it ended, in the words of the runtime's traces. */
export type EventEnd =
  | 'ok'
  | 'exception'
  | 'exceededCpu'
  | 'exceededMemory'
  | 'exceededWallTime'
  | 'canceled'
  | 'unknown'

export interface EventOutcome {
  readonly end: EventEnd
  /** What was thrown, where it is known. */
  readonly error?: { readonly name: string; readonly message: string; readonly stack?: string }
  /** Of a scheduled event: the program asked not to be told again. */
  readonly noRetry?: boolean
  /** Of messages. */
  readonly verdict?: QueueVerdict
}

/** What a consumer said of its messages. Absent parts say nothing. */
export interface QueueVerdict {
  readonly ackAll: boolean
  readonly retryAll?: { readonly delaySeconds?: Seconds }
  /** Ids. */
  readonly acks: readonly string[]
  readonly retries: readonly { readonly id: string; readonly delaySeconds?: Seconds }[]
}
