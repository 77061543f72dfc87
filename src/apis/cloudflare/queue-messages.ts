/**
 * Messages over HTTP: sent, pulled, acknowledged, purged.
 * https://developers.cloudflare.com/queues/configuration/pull-consumers/
 */
import type { Hono } from 'hono'
import { z } from 'zod'
import { queueCalls } from '#/core/queue-calls.ts'
import { queueLimits, type SentMessage } from '#/core/queues.ts'
import { ok, VendorError } from './envelope.ts'
import { refusedBy } from './queue-errors.ts'
import { type QueueRoutesParts, queuesPath, requireQueue } from './queues.ts'
import { readJson } from './read-json.ts'
import { firstIssue } from './wire-bindings.ts'

const whole = z.number().int()
const delay = whole.min(0).max(queueLimits.delayS).nullish()
const message = z.strictObject({
  body: z.unknown(),
  content_type: z.enum(['text', 'json', 'bytes']).default('json'),
  delay_seconds: delay,
})
const batch = z.strictObject({ messages: z.array(message), delay_seconds: delay })
const wish = z.strictObject({
  batch_size: whole.min(1).max(queueLimits.pullBatch.most).nullish(),
  visibility_timeout_ms: whole.min(0).max(queueLimits.visibilityMs.most).nullish(),
  /** As wrangler's own example says it. */
  visibility_timeout: whole.min(0).max(queueLimits.visibilityMs.most).nullish(),
})
const verdict = z.strictObject({
  acks: z.array(z.strictObject({ lease_id: z.string() })).default([]),
  retries: z.array(z.strictObject({ lease_id: z.string(), delay_seconds: delay })).default([]),
})
const purge = z.strictObject({ delete_messages_permanently: z.literal(true) })

export function messageRoutes(app: Hono, parts: QueueRoutesParts): void {
  const { homed, limits, clock } = parts
  const calls = queueCalls(homed)
  const path = `${queuesPath}/:queue`

  app.post(`${path}/messages`, async (c) => {
    const queue = requireQueue(c, parts)
    const sent = toMessage(read(message, await readJson(c, z.unknown(), limits.metadataBytes)))
    const answer = await calls.send(queue.id, [sent])
    if (answer.refused !== undefined) throw refusedBy(answer.refused)
    return ok(c, { metadata: { metrics: metricsView(answer.metrics) } })
  })

  app.post(`${path}/messages/batch`, async (c) => {
    const queue = requireQueue(c, parts)
    const { messages, delay_seconds: delayS } = read(batch, await readJson(c, z.unknown(), limits.metadataBytes))
    const answer = await calls.send(queue.id, messages.map(toMessage), delayS ?? undefined)
    if (answer.refused !== undefined) throw refusedBy(answer.refused)
    return ok(c, { metadata: { metrics: metricsView(answer.metrics) } })
  })

  app.post(`${path}/messages/pull`, async (c) => {
    const queue = requireQueue(c, parts)
    const asked = read(wish, await readJson(c, z.unknown(), limits.metadataBytes))
    const visibilityMs = asked.visibility_timeout_ms ?? asked.visibility_timeout
    const answer = await calls.pull(queue.id, {
      ...(asked.batch_size != null && { batchSize: asked.batch_size }),
      ...(visibilityMs != null && { visibilityMs }),
    })
    if (answer.refused !== undefined) throw refusedBy(answer.refused)
    const messages = answer.messages.map(({ id, sentAt, attempts, type, lease, body }) => ({
      // Text as it is, everything else in base64.
      body: type === 'text' ? Buffer.from(body).toString() : Buffer.from(body).toString('base64'),
      ...{ id, timestamp_ms: sentAt, attempts, lease_id: lease, metadata: { 'CF-Content-Type': type } },
    }))
    return ok(c, { message_backlog_count: answer.backlog, messages })
  })

  app.post(`${path}/messages/ack`, async (c) => {
    const queue = requireQueue(c, parts)
    const { acks, retries } = read(verdict, await readJson(c, z.unknown(), limits.metadataBytes))
    const answer = await calls.answer(queue.id, {
      acks: acks.map(({ lease_id: lease }) => lease),
      retries: retries.map(({ lease_id: lease, delay_seconds: delayS }) => ({
        lease,
        ...(delayS != null && { delayS }),
      })),
    })
    if (answer.refused !== undefined) throw refusedBy(answer.refused)
    const { acked: ackCount, retried: retryCount, unknown } = answer
    return ok(c, { ackCount, retryCount, warnings: unknown.map((lease) => `lease ${lease.slice(0, 80)} is over`) })
  })

  app.post(`${path}/purge`, async (c) => {
    const queue = requireQueue(c, parts)
    read(purge, await readJson(c, z.unknown(), limits.metadataBytes))
    await calls.purge(queue.id)
    return ok(c, { started_at: new Date(clock()).toISOString(), completed: true })
  })
  app.get(`${path}/purge`, (c) => {
    requireQueue(c, parts)
    return ok(c, { completed: true })
  })
}

/** Throws a `VendorError` (10207). */
function read<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new VendorError(400, 10207, `The body does not fit: ${firstIssue(parsed.error)}.`)
}

function toMessage({ body, content_type: type, delay_seconds: delayS }: z.infer<typeof message>): SentMessage {
  if (type !== 'json' && typeof body !== 'string')
    throw new VendorError(400, 10203, `A message of content type ${type} has a text as its body.`)
  const text = type === 'json' ? JSON.stringify(body ?? null) : (body as string)
  const bytes = Buffer.from(text, type === 'bytes' ? 'base64' : 'utf8')
  return { type, body: bytes, ...(delayS != null && { delayS }) }
}

function metricsView(metrics: { backlogCount: number; backlogBytes: number; oldestMessageTimestamp?: number }): object {
  const { backlogCount, backlogBytes, oldestMessageTimestamp: oldest = 0 } = metrics
  return { backlog_count: backlogCount, backlog_bytes: backlogBytes, oldest_message_timestamp_ms: oldest }
}
