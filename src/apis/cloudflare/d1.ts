/** Cloudflare's calls for databases (https://developers.cloudflare.com/api/resources/d1/), as wrangler and others make them. */
import { randomUUID } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { Control } from '#/control/control.ts'
import { Refusal } from '#/control/refusal.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import { countryGroups } from '#/core/residency.ts'
import type { Resource } from '#/core/resources.ts'
import { askDatabase, requireDatabase } from './d1-request.ts'
import { ok, VendorError } from './envelope.ts'
import { readJson } from './read-json.ts'

export interface D1RoutesParts {
  readonly control: Pick<Control, 'resources' | 'createResource' | 'changeResource' | 'removeResource' | 'setPlacement'>
  readonly homed: Pick<HomedStores, 'call'>
  readonly limits: Limits
}

export const d1Path = '/accounts/:account/d1/database'

export function d1Routes(parts: D1RoutesParts): Hono {
  const app = new Hono()
  databaseRoutes(app, parts)
  queryRoutes(app, parts)
  return app
}

/** Hints as the vendor has them: https://developers.cloudflare.com/d1/configuration/data-location/ */
const hints = ['wnam', 'enam', 'weur', 'eeur', 'apac', 'oc'] as const

const wish = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][\w-]{0,62}$/, 'use letters, digits, - and _, 63 at most'),
  primary_location_hint: z.enum(hints).optional(),
  jurisdiction: z.enum(['eu']).optional(),
  read_replication: z.strictObject({ mode: z.literal('disabled') }).optional(),
})

function databaseRoutes(app: Hono, parts: D1RoutesParts): void {
  const { control } = parts

  app.post(d1Path, async (c) => {
    const { name, primary_location_hint: hint, jurisdiction } = read(wish, await readJson(c, z.unknown(), 16_384))
    const id = randomUUID()
    const within = jurisdiction && countryGroups.get(jurisdiction)!
    // Before there is anything to place, so that it is never outside.
    if (within !== undefined) await control.setPlacement({ kind: 'sql', id }, within)
    try {
      const settings = jurisdiction === undefined ? {} : { jurisdiction }
      const made = await control.createResource({ kind: 'sql', id, name, settings, ...(hint && { hint }) })
      return ok(c, shown(made))
    } catch (error) {
      if (within !== undefined) await control.setPlacement({ kind: 'sql', id }, undefined)
      throw vendorError(error)
    }
  })

  app.get(d1Path, (c) => {
    const { page, per_page, name } = read(pageQuery, c.req.query())
    const all = control.resources('sql').filter((one) => name === undefined || one.name.includes(name))
    const some = all.slice((page - 1) * per_page, page * per_page)
    const counts = { count: some.length, total_count: all.length, total_pages: Math.ceil(all.length / per_page) }
    return ok(c, some.map(shown), { result_info: { page, per_page, ...counts } })
  })

  app.get(`${d1Path}/:database`, async (c) => {
    const found = requireDatabase(c, parts)
    const { fields } = c.req.query()
    if (fields !== undefined && /^(uuid|name)(,(uuid|name))*$/.test(fields))
      return ok(c, { uuid: found.id, name: found.name })
    const { head } = await askDatabase(parts, found, { operation: 'info' })
    return ok(c, { ...shown(found), num_tables: head.tables, file_size: head.bytes, running_in_region: head.region })
  })

  app.delete(`${d1Path}/:database`, async (c) => {
    const { id } = requireDatabase(c, parts)
    await control.removeResource({ kind: 'sql', id })
    await control.setPlacement({ kind: 'sql', id }, undefined)
    return ok(c, null)
  })
}

const query = z.strictObject({ sql: z.string(), params: z.array(z.unknown()).optional() })
const queries = z.union([query, z.strictObject({ batch: z.array(query).min(1) })])

function queryRoutes(app: Hono, parts: D1RoutesParts): void {
  async function run(c: Context, columns: boolean): Promise<Response> {
    const found = requireDatabase(c, parts)
    const asked = read(queries, await readJson(c, z.unknown(), parts.limits.sqlRequestBytes))
    const body = Buffer.from(JSON.stringify('batch' in asked ? asked.batch : [asked]))
    const answer = await askDatabase(parts, found, { operation: 'query', head: { columns, each: true }, body })
    if (typeof answer.head.refused === 'string') throw new VendorError(400, 7500, answer.head.refused)
    // The rows are JSON already: nothing here reads them.
    const envelope = Buffer.from('{"success":true,"errors":[],"messages":[],"result":')
    const whole = Buffer.concat([envelope, await answer.bytes(), Buffer.from('}')])
    return c.body(whole, 200, { 'content-type': 'application/json' })
  }
  app.post(`${d1Path}/:database/query`, (c) => run(c, false))
  app.post(`${d1Path}/:database/raw`, (c) => run(c, true))
}

const pageQuery = z.object({
  page: z.coerce.number().int().min(1).default(1),
  per_page: z.coerce.number().int().min(1).max(10_000).default(1000),
  name: z.string().optional(),
})

export function read<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const found = schema.safeParse(value)
  if (found.success) return found.data
  const [issue] = found.error.issues
  throw new VendorError(400, 7400, `Invalid property: ${issue!.path.join('.') || 'body'} => ${issue!.message}`)
}

function shown({ id, name, createdAt, settings, hint }: Resource): object {
  return {
    uuid: id,
    name,
    version: 'production',
    created_at: new Date(createdAt).toISOString(),
    ...(hint !== undefined && { primary_location_hint: hint }),
    ...(settings.jurisdiction !== undefined && { jurisdiction: settings.jurisdiction }),
    read_replication: { mode: 'disabled' },
  }
}

/** The numbers on which wrangler branches: 7502 for a name that is taken, 7406 for one database too many. */
function vendorError(error: unknown): unknown {
  if (!(error instanceof Refusal)) return error
  if (error.code === 'name_taken') return new VendorError(400, 7502, 'A database with that name already exists')
  if (error.code === 'too_many') return new VendorError(400, 7406, 'The number of databases that may exist is reached.')
  return error
}
