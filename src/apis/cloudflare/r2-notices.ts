/** Which queues are told of a bucket's changes (https://developers.cloudflare.com/r2/buckets/event-notifications/). */
import { randomUUID } from 'node:crypto'
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { bucketSettingsOf, noticeRule } from '#/core/bucket-settings.ts'
import type { Resource } from '#/core/resources.ts'
import { ok, VendorError } from './envelope.ts'
import { noQueue } from './queue-errors.ts'
import { type R2RoutesParts, requireBucket } from './r2-request.ts'
import { changeSettings } from './r2-settings.ts'
import { readJson } from './read-json.ts'

const root = '/accounts/:account/event_notifications/r2/:bucket/configuration'
const wish = z.strictObject({
  rules: z
    .array(noticeRule.omit({ ruleId: true, createdAt: true }))
    .min(1)
    .max(100),
})
const removal = z.strictObject({ ruleIds: z.array(z.string()).optional() })

export function noticeRoutes(app: Hono, parts: R2RoutesParts): void {
  const { control, limits, clock } = parts
  const noticesOf = (c: Context) => bucketSettingsOf(requireBucket(c, parts)).notices

  function requireQueue(c: Context): Resource {
    const id = c.req.param('queue')!
    const found = control.resources('queue').find((one) => one.id.replaceAll('-', '') === id.replaceAll('-', ''))
    if (found === undefined) throw noQueue(id)
    return found
  }
  const called = (id: string) => control.resources('queue').find((one) => one.id === id)?.name ?? id
  const shown = ({ queue, rules }: ReturnType<typeof noticesOf>[number]) => ({
    ...{ queueId: queue, queueName: called(queue), rules },
  })
  const set = (c: Context, notices: ReturnType<typeof noticesOf>) =>
    changeSettings(parts, requireBucket(c, parts), { notices })

  app.get(root, (c) => {
    const queues = noticesOf(c).map(shown)
    return ok(c, { bucketName: c.req.param('bucket'), queues })
  })
  app.get(`${root}/queues/:queue`, (c) => {
    const { id } = requireQueue(c)
    const found = noticesOf(c).find(({ queue }) => queue === id)
    if (found === undefined) throw new VendorError(404, 11015, 'No event notification configuration was found.')
    return ok(c, shown(found))
  })
  app.put(`${root}/queues/:queue`, async (c) => {
    const { id } = requireQueue(c)
    const before = noticesOf(c)
    const { rules } = await readJson(c, wish, limits.metadataBytes)
    const createdAt = new Date(clock()).toISOString()
    const added = rules.map((rule) => ({ ...rule, ruleId: randomUUID().replaceAll('-', ''), createdAt }))
    const all = [...(before.find(({ queue }) => queue === id)?.rules ?? []), ...added]
    if (all.length > 100)
      throw new VendorError(400, 11013, `${all.length} rules are more than the 100 that a bucket may have for a queue.`)
    await set(c, [...before.filter(({ queue }) => queue !== id), { queue: id, rules: all }])
    return ok(c, {})
  })
  app.delete(`${root}/queues/:queue`, async (c) => {
    const { id } = requireQueue(c)
    const text = await c.req.raw.clone().text()
    const { ruleIds } = text === '' ? {} : await readJson(c, removal, limits.metadataBytes)
    const before = noticesOf(c)
    const known = before.find(({ queue }) => queue === id)
    const missing = (ruleIds ?? []).find((one) => !known?.rules.some(({ ruleId }) => ruleId === one))
    if (known === undefined || missing !== undefined)
      throw new VendorError(404, 11015, 'No event notification configuration was found.')
    const left = ruleIds === undefined ? [] : known.rules.filter(({ ruleId }) => !ruleIds.includes(ruleId))
    const others = before.filter(({ queue }) => queue !== id)
    await set(c, left.length === 0 ? others : [...others, { queue: id, rules: left }])
    return ok(c, {})
  })
}
