/**
 * Cloudflare's calls for queues and their consumers (https://developers.cloudflare.com/api/resources/queues/), as far as
 * wrangler makes them. Messages over HTTP are in `queue-messages.ts`.
 */
import { randomUUID } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { Control } from '#/control/control.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { Within } from '#/core/pops.ts'
import { type QueueConsumer, type QueueSettings, queueSettingsOf, usualQueueSettings } from '#/core/queues.ts'
import { countryGroups } from '#/core/residency.ts'
import type { Resource } from '#/core/resources.ts'
import type { Clock } from '#/core/units.ts'
import { ok, VendorError } from './envelope.ts'
import { doorError } from './errors.ts'
import { badName, consumerExists, handlerMissing, noConsumer, noQueue, toQueueError } from './queue-errors.ts'
import { messageRoutes } from './queue-messages.ts'
import {
  consumerView,
  isQueueName,
  queueChange,
  queueView,
  queueWish,
  readConsumer,
  readSettings,
} from './queue-view.ts'
import { readJson } from './read-json.ts'

export interface QueueRoutesParts {
  readonly control: Control
  readonly homed: Pick<HomedStores, 'call'>
  readonly limits: Limits
  readonly clock: Clock
}

export const queuesPath = '/accounts/:account/queues'

export function queueRoutes(parts: QueueRoutesParts): Hono {
  const app = new Hono()
  ownRoutes(app, parts)
  consumerRoutes(app, parts)
  messageRoutes(app, parts)
  return app
}

/** Throws a `VendorError` (11000). */
export function requireQueue(c: Context, { control }: Pick<QueueRoutesParts, 'control'>): Resource {
  const id = c.req.param('queue') ?? ''
  const found = control.resources('queue').find((one) => one.id === id)
  if (found === undefined) throw noQueue(id)
  return found
}

function ownRoutes(app: Hono, parts: QueueRoutesParts): void {
  const { control, limits } = parts
  const shown = (queue: Resource) => queueView(queue, control)

  app.get(queuesPath, (c) => {
    const names = c.req.queries('name') ?? []
    const page = Math.max(1, Number(c.req.query('page')) || 1)
    const perPage = Math.min(1000, Math.max(1, Number(c.req.query('per_page')) || 100))
    const all = control.resources('queue').filter(({ name }) => names.length === 0 || names.includes(name))
    const result = all.slice((page - 1) * perPage, page * perPage)
    const counts = { count: result.length, total_count: all.length, total_pages: Math.ceil(all.length / perPage) }
    return ok(c, result.map(shown), { result_info: { page, per_page: perPage, ...counts } })
  })

  app.post(queuesPath, async (c) => {
    const { queue_name: name, settings, jurisdiction } = await readJson(c, queueWish, limits.metadataBytes)
    const within = jurisdiction == null ? undefined : countryGroups.get(jurisdiction)!
    return ok(c, shown(await makeQueue(control, name, readSettings(settings, usualQueueSettings), within)))
  })

  app.get(`${queuesPath}/:queue`, (c) => ok(c, shown(requireQueue(c, parts))))

  async function change(c: Context, before: (queue: Resource) => QueueSettings) {
    const queue = requireQueue(c, parts)
    const { queue_name: name = queue.name, settings } = await readJson(c, queueChange, limits.metadataBytes)
    if (name !== queue.name)
      throw doorError('unsupported', `Queues are not renamed here: '${queue.name}' keeps its name.`)
    // Checked before anything is changed; what is written is made of what is there by then.
    readSettings(settings, before(queue))
    const changed = await control
      .changeResource(queue, (now) => ({ settings: { ...readSettings(settings, before(now)) } }))
      .catch((error: unknown) => {
        throw toQueueError(error, name)
      })
    return ok(c, shown(changed))
  }
  app.patch(`${queuesPath}/:queue`, (c) => change(c, queueSettingsOf))
  app.put(`${queuesPath}/:queue`, (c) =>
    change(c, (queue) => {
      const { consumer } = queueSettingsOf(queue)
      return { ...usualQueueSettings, ...(consumer && { consumer }) }
    }),
  )

  app.delete(`${queuesPath}/:queue`, async (c) => {
    const queue = requireQueue(c, parts)
    const { consumer } = queueSettingsOf(queue)
    if (consumer?.type === 'worker')
      throw new VendorError(400, 11005, `Queue '${queue.name}' has a consumer, ${consumer.program}: remove it first.`)
    await control.removeResource(queue).catch((error: unknown) => {
      throw toQueueError(error, queue.name)
    })
    return ok(c, null)
  })
}

/** Throws a `VendorError` (11008, 11009). */
async function makeQueue(
  control: Control,
  name: string,
  settings: QueueSettings,
  within: Within | undefined,
): Promise<Resource> {
  if (!isQueueName(name)) throw badName(name)
  const id = randomUUID().replaceAll('-', '')
  // Before it exists, so that nothing of it ever lies elsewhere.
  if (within !== undefined) await control.setPlacement({ kind: 'queue', id }, within)
  try {
    return await control.createResource({ kind: 'queue', id, name, settings: { ...settings } })
  } catch (error) {
    if (within !== undefined) await control.setPlacement({ kind: 'queue', id }, undefined)
    throw toQueueError(error, name)
  }
}

function consumerRoutes(app: Hono, parts: QueueRoutesParts): void {
  const { control, limits, clock } = parts
  const path = `${queuesPath}/:queue/consumers`

  /** Writes the queue's consumer; `check` sees the one that is there by then. */
  async function set(queue: Resource, consumer: QueueConsumer | undefined, check: (now?: QueueConsumer) => void) {
    return control.changeResource(queue, (now) => {
      const { consumer: before, ...rest } = queueSettingsOf(now)
      check(before)
      return { settings: { ...rest, ...(consumer && { consumer }) } }
    })
  }

  /** Cloudflare makes the dead letter queue where there is none. */
  async function prepare(queue: Resource, consumer: QueueConsumer): Promise<void> {
    if (consumer.type === 'worker') await requireHandler(control, consumer.program)
    const { deadLetterQueue: name } = consumer
    if (name === undefined || control.resources('queue').some((one) => one.name === name)) return
    await makeQueue(control, name, usualQueueSettings, control.snapshot.placements?.get(queue.id))
  }

  app.get(path, (c) => {
    const queue = requireQueue(c, parts)
    const { consumer } = queueSettingsOf(queue)
    return ok(c, consumer === undefined ? [] : [consumerView(queue, consumer)])
  })

  app.post(path, async (c) => {
    const queue = requireQueue(c, parts)
    const given = await readJson(c, z.unknown(), limits.metadataBytes)
    const consumer = readConsumer(given, { id: randomUUID().replaceAll('-', ''), createdAt: clock() })
    if (queueSettingsOf(queue).consumer !== undefined) throw consumerExists()
    await prepare(queue, consumer)
    const changed = await set(queue, consumer, (now) => {
      if (now !== undefined) throw consumerExists()
    })
    return ok(c, consumerView(changed, consumer))
  })

  function requireConsumer(c: Context): { readonly queue: Resource; readonly consumer: QueueConsumer } {
    const queue = requireQueue(c, parts)
    const { consumer } = queueSettingsOf(queue)
    if (consumer === undefined || consumer.id !== c.req.param('consumer')) throw noConsumer()
    return { queue, consumer }
  }
  const same = (id: string) => (now?: QueueConsumer) => {
    if (now?.id !== id) throw noConsumer()
  }

  app.get(`${path}/:consumer`, (c) => {
    const { queue, consumer } = requireConsumer(c)
    return ok(c, consumerView(queue, consumer))
  })

  app.put(`${path}/:consumer`, async (c) => {
    const { queue, consumer } = requireConsumer(c)
    const { id, createdAt } = consumer
    const next = readConsumer(await readJson(c, z.unknown(), limits.metadataBytes), { id, createdAt })
    await prepare(queue, next)
    return ok(c, consumerView(await set(queue, next, same(id)), next))
  })

  app.delete(`${path}/:consumer`, async (c) => {
    const { queue, consumer } = requireConsumer(c)
    await set(queue, undefined, same(consumer.id))
    return ok(c, null)
  })
}

/** Throws a `VendorError` (11001), or a `Refusal` (`no_program`). */
async function requireHandler(control: Control, program: string): Promise<void> {
  const record = control.program(program)
  const { code, exports } = await control.version(program, record.rollouts[0]?.parts[0]?.version)
  const handlers = exports.find(({ name }) => name === 'default')?.handlers ?? []
  // What was never started in its proof, such as files alone, has none.
  if (code === undefined || !handlers.includes('queue')) throw handlerMissing(program)
}
