/** Queues: what is set for one, in `Resource.settings`, and the limits that Cloudflare documents. */
import { z } from 'zod'
import type { MessageType } from './program-events.ts'
import type { Resource } from './resources.ts'
import type { ProgramName, Snapshot } from './snapshot.ts'
import type { Bytes, EpochMs, Milliseconds, Seconds } from './units.ts'

/** https://developers.cloudflare.com/queues/platform/limits/ (KB of 1000 bytes), and wrangler's own bounds. */
export const queueLimits = {
  messageBytes: 128_000 as Bytes,
  /** Bodies of one call together; 32 KB are for what the platform adds. */
  batchBytes: 288_000 as Bytes,
  batchMessages: 100,
  delayS: 86_400 as Seconds,
  retentionS: { least: 60, most: 1_209_600, usual: 345_600 },
  waitMs: { most: 60_000, usual: 5_000 },
  retries: { most: 100, usual: 3 },
  batch: { most: 100, usual: 10 },
  pullBatch: { most: 100, usual: 5 },
  concurrency: 250,
  visibilityMs: { most: 43_200_000, usual: 30_000 },
} as const

const delay = z.number().int().min(0).max(queueLimits.delayS)
const { batch, retries, waitMs, retentionS, visibilityMs } = queueLimits
const common = {
  id: z.string(),
  createdAt: z.number(),
  /** Name of the queue where messages go that were tried too often; absent: nowhere. */
  deadLetterQueue: z.exactOptional(z.string()),
  maxRetries: z.number().int().min(0).max(retries.most),
  retryDelayS: z.exactOptional(delay),
}

const consumer = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('worker'),
    ...common,
    program: z.string(),
    batchSize: z.number().int().min(1).max(batch.most),
    maxWaitMs: z.number().int().min(0).max(waitMs.most),
    /** Absent: as many as the platform sees fit. */
    maxConcurrency: z.exactOptional(z.number().int().min(1).max(queueLimits.concurrency)),
  }),
  z.object({
    type: z.literal('pull'),
    ...common,
    batchSize: z.number().int().min(1).max(queueLimits.pullBatch.most),
    visibilityMs: z.number().int().min(0).max(visibilityMs.most),
  }),
])

export const queueSettings = z.object({
  deliveryDelayS: delay,
  paused: z.boolean(),
  retentionS: z.number().int().min(retentionS.least).max(retentionS.most),
  consumer: z.exactOptional(consumer),
})

export type QueueSettings = Readonly<z.infer<typeof queueSettings>>
export type QueueConsumer = Readonly<z.infer<typeof consumer>>

export const usualQueueSettings: QueueSettings = { deliveryDelayS: 0, paused: false, retentionS: retentionS.usual }

const read = new WeakMap<Resource['settings'], QueueSettings>()

/** Throws an Error for what an earlier release, or nobody, wrote. */
export function queueSettingsOf({ settings }: Pick<Resource, 'settings'>): QueueSettings {
  const known = read.get(settings) ?? queueSettings.parse(settings)
  read.set(settings, known)
  return known
}

const named = new WeakMap<NonNullable<Snapshot['resources']>, ReadonlyMap<string, Resource>>()

/** The queue of this name. */
export function queueNamed({ resources }: Pick<Snapshot, 'resources'>, name: string): Resource | undefined {
  if (resources === undefined) return undefined
  const known =
    named.get(resources) ??
    new Map([...resources.values()].filter(({ kind }) => kind === 'queue').map((queue) => [queue.name, queue]))
  named.set(resources, known)
  return known.get(name)
}

/** The consumer, where it is this program. */
export function consumedBy(queue: Resource, program: ProgramName): QueueConsumer | undefined {
  const { consumer: found } = queueSettingsOf(queue)
  return found?.type === 'worker' && found.program === program ? found : undefined
}

/** A message on its way in. */
export interface SentMessage {
  readonly type: MessageType
  readonly body: Uint8Array
  /** Absent: as the call, the binding or the queue says. */
  readonly delayS?: Seconds
}

/** Why a queue does not take something, in Cloudflare's words. https://developers.cloudflare.com/queues/reference/error-codes/ */
export interface QueueRefusal {
  readonly status: 400 | 404 | 413 | 429
  readonly code: number
  readonly message: string
}

/** Undefined: all of it may be sent. `delayS` is that of the call. */
export function refuseMessages(
  messages: readonly SentMessage[],
  delayS: Seconds | undefined,
): QueueRefusal | undefined {
  if (messages.length === 0 || messages.length > queueLimits.batchMessages)
    return refusal(
      413,
      10206,
      `batch message count of ${messages.length} exceeds limit of ${queueLimits.batchMessages}`,
    )
  if (delayS !== undefined && !isDelay(delayS)) return refusal(400, 10202, `batch delay ${delayS} is invalid`)
  let total = 0
  for (const { body, delayS: own, type } of messages) {
    if (body.length > queueLimits.messageBytes)
      return refusal(413, 10204, `message length of ${body.length} bytes exceeds limit of ${queueLimits.messageBytes}`)
    if (own !== undefined && !isDelay(own)) return refusal(400, 10203, `message delay ${own} is invalid`)
    if (type === 'json' && !isJson(body)) return refusal(400, 10203, 'message of content type json does not parse')
    total += body.length
  }
  if (total <= queueLimits.batchBytes) return undefined
  return refusal(413, 10205, `batch size of ${total} bytes exceeds limit of ${queueLimits.batchBytes}`)
}

const refusal = (status: QueueRefusal['status'], code: number, message: string) => ({ status, code, message })

const isDelay = (seconds: number) => Number.isInteger(seconds) && seconds >= 0 && seconds <= queueLimits.delayS

function isJson(body: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body))
    return true
  } catch {
    return false
  }
}

/** A message that somebody pulled, until `until`. */
export interface PulledMessage {
  readonly id: string
  readonly sentAt: EpochMs
  readonly attempts: number
  readonly type: MessageType
  readonly lease: string
  readonly bytes: Bytes
}

/** What a consumer over HTTP says of what it pulled. */
export interface PullVerdict {
  readonly acks: readonly string[]
  readonly retries: readonly { readonly lease: string; readonly delayS?: Seconds }[]
}

export interface PullWish {
  readonly batchSize: number
  readonly visibilityMs: Milliseconds
}
