/** Queues as the API shows them, and their settings as it takes them. */
import { z } from 'zod'
import type { Control } from '#/control/control.ts'
import { type QueueConsumer, type QueueSettings, queueLimits, queueSettings, queueSettingsOf } from '#/core/queues.ts'
import type { Resource } from '#/core/resources.ts'
import type { EpochMs } from '#/core/units.ts'
import { badConsumer, badSettings } from './queue-errors.ts'
import { firstIssue } from './wire-bindings.ts'

const iso = (time: EpochMs) => new Date(time).toISOString()
const whole = z.number().int()

/** Names of 1 to 63 letters, digits, `-` and `_`. */
export const isQueueName = (name: string) => /^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/i.test(name)

export const queueWish = z.strictObject({
  queue_name: z.string(),
  settings: z.record(z.string(), z.unknown()).nullish(),
  jurisdiction: z.enum(['eu', 'fedramp']).nullish(),
})
export const queueChange = queueWish.partial()

const settingsWish = z.strictObject({
  delivery_delay: whole.min(0).max(queueLimits.delayS).nullish(),
  delivery_paused: z.boolean().nullish(),
  message_retention_period: whole.min(queueLimits.retentionS.least).max(queueLimits.retentionS.most).nullish(),
})

/** Throws a `VendorError` (100128). What is absent stays. */
export function readSettings(given: unknown, before: QueueSettings): QueueSettings {
  const read = settingsWish.safeParse(given ?? {})
  if (!read.success) throw badSettings(firstIssue(read.error))
  const { delivery_delay: delay, delivery_paused: paused, message_retention_period: retention } = read.data
  return {
    ...before,
    ...(delay != null && { deliveryDelayS: delay }),
    ...(paused != null && { paused }),
    ...(retention != null && { retentionS: retention }),
  }
}

const common = {
  dead_letter_queue: z.string().min(1).nullish(),
  consumer_id: z.string().optional(),
  queue_name: z.string().optional(),
  queue_id: z.string().optional(),
  created_on: z.string().optional(),
}
const retries = { max_retries: whole.nullish(), retry_delay: whole.nullish() }
const consumerWish = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('worker'),
    script_name: z.string().min(1).optional(),
    script: z.string().min(1).optional(),
    service: z.string().min(1).optional(),
    environment_name: z.string().optional(),
    environment: z.string().optional(),
    ...common,
    settings: z
      .strictObject({
        batch_size: whole.nullish(),
        max_wait_time_ms: whole.nullish(),
        max_concurrency: whole.nullish(),
        ...retries,
      })
      .nullish(),
  }),
  z.strictObject({
    type: z.literal('http_pull'),
    ...common,
    settings: z
      .strictObject({ batch_size: whole.nullish(), visibility_timeout_ms: whole.nullish(), ...retries })
      .nullish(),
  }),
])

/** Throws a `VendorError` (100127). */
export function readConsumer(
  given: unknown,
  made: { readonly id: string; readonly createdAt: EpochMs },
): QueueConsumer {
  const wish = consumerWish.safeParse(given)
  if (!wish.success) throw badConsumer(firstIssue(wish.error))
  const { data } = wish
  const shared = {
    ...made,
    ...(data.dead_letter_queue != null && { deadLetterQueue: data.dead_letter_queue }),
    maxRetries: data.settings?.max_retries ?? queueLimits.retries.usual,
    ...(data.settings?.retry_delay != null && { retryDelayS: data.settings.retry_delay }),
  }
  const read = queueSettings.shape.consumer.safeParse(
    data.type === 'worker'
      ? {
          ...{ type: 'worker', ...shared, program: data.script_name ?? data.script ?? data.service },
          batchSize: data.settings?.batch_size ?? queueLimits.batch.usual,
          maxWaitMs: data.settings?.max_wait_time_ms ?? queueLimits.waitMs.usual,
          ...(data.settings?.max_concurrency != null && { maxConcurrency: data.settings.max_concurrency }),
        }
      : {
          ...{ type: 'pull', ...shared, batchSize: data.settings?.batch_size ?? queueLimits.pullBatch.usual },
          visibilityMs: data.settings?.visibility_timeout_ms ?? queueLimits.visibilityMs.usual,
        },
  )
  if (!read.success) throw badConsumer(firstIssue(read.error))
  return read.data!
}

export function consumerView(queue: Resource, consumer: QueueConsumer): object {
  const { id, createdAt, deadLetterQueue, maxRetries, retryDelayS } = consumer
  const settings = { batch_size: consumer.batchSize, max_retries: maxRetries, retry_delay: retryDelayS ?? 0 }
  const shared = {
    ...{ consumer_id: id, queue_id: queue.id, queue_name: queue.name, created_on: iso(createdAt) },
    ...(deadLetterQueue !== undefined && { dead_letter_queue: deadLetterQueue }),
  }
  if (consumer.type === 'pull')
    return { type: 'http_pull', ...shared, settings: { ...settings, visibility_timeout_ms: consumer.visibilityMs } }
  const { program, maxWaitMs, maxConcurrency } = consumer
  return {
    ...{ type: 'worker', ...shared, script: program, script_name: program },
    settings: { ...settings, max_wait_time_ms: maxWaitMs, max_concurrency: maxConcurrency ?? null },
  }
}

export function queueView(queue: Resource, control: Pick<Control, 'snapshot'>): object {
  const { consumer, deliveryDelayS, paused, retentionS } = queueSettingsOf(queue)
  const producers = producersOf(queue, control)
  return {
    queue_id: queue.id,
    queue_name: queue.name,
    created_on: iso(queue.createdAt),
    modified_on: iso(queue.modifiedAt),
    producers_total_count: producers.length,
    producers: producers.map((script) => ({ type: 'worker', script })),
    consumers_total_count: consumer === undefined ? 0 : 1,
    consumers: consumer === undefined ? [] : [consumerView(queue, consumer)],
    settings: {
      delivery_delay: deliveryDelayS,
      delivery_paused: paused,
      message_retention_period: retentionS,
    },
  }
}

function producersOf({ id }: Resource, { snapshot }: Pick<Control, 'snapshot'>): string[] {
  return [...snapshot.programs.values()]
    .filter(({ rollout }) =>
      rollout.some(({ deployment }) => deployment.bindings.some((one) => one.kind === 'queue' && one.queue === id)),
    )
    .map(({ name }) => name)
}
