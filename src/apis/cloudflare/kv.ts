/**
 * Cloudflare's calls for KV namespaces and their keys (https://developers.cloudflare.com/api/resources/kv/), as far as
 * wrangler makes them. Bulk calls are in `kv-bulk.ts`.
 */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import {
  createKvNamespace,
  type KvNamespace,
  type KvNamespaceOutcome,
  listKvNamespaces,
  removeKvNamespace,
  renameKvNamespace,
} from '#/control/kv-namespaces.ts'
import { ofWorkers, refusePrefix, refuseValue } from '#/core/kv-rules.ts'
import type { Limits } from '#/core/limits.ts'
import { ok, VendorError } from './envelope.ts'
import { readKvBody } from './kv-body.ts'
import { bulkRoutes } from './kv-bulk.ts'
import { readExpiration } from './kv-expiration.ts'
import {
  act,
  type KvRoutesParts,
  keepsMetadata,
  kvPath,
  noNamespace,
  readJson,
  requireKey,
  requireNamespace,
  toVendor,
} from './kv-request.ts'

/** Cloudflare's numbers: 10009, 10013, 10014, 10019, 10033 and 10147 as its clients know them. */
const refusals = {
  title_missing: [400, 10019, 'the title is missing'],
  title_too_long: [400, 10019, 'the title is too long'],
  title_taken: [400, 10014, 'a namespace with this account ID and title already exists'],
  too_many: [400, 10018, 'this account has as many namespaces as it may have'],
  not_found: [404, 10013, "rename namespace: 'namespace not found'"],
} as const satisfies Record<(KvNamespaceOutcome & { ok: false })['why'], readonly [number, number, string]>

export function kvRoutes(parts: KvRoutesParts): Hono {
  const app = new Hono()
  namespaceRoutes(app, parts)
  keyRoutes(app, parts)
  bulkRoutes(app, parts)
  return app
}

function namespaceRoutes(app: Hono, parts: KvRoutesParts): void {
  const { fabric, limits } = parts

  app.post(kvPath, async (c) => ok(c, shown(settled(await createKvNamespace(parts, await readTitle(c, limits))))))

  app.put(`${kvPath}/:id`, async (c) => {
    const title = await readTitle(c, limits)
    return ok(c, shown(settled(await renameKvNamespace(parts, c.req.param('id'), title))))
  })

  app.get(kvPath, async (c) => {
    const { page, per_page, order, direction } = readQuery(c, namespaceQuery)
    const all = await listKvNamespaces(fabric)
    all.sort((a, b) => (a[order] < b[order] ? -1 : 1) * (direction === 'desc' ? -1 : 1))
    const shownPage = all.slice((page - 1) * per_page, page * per_page)
    const counts = { count: shownPage.length, total_count: all.length, total_pages: Math.ceil(all.length / per_page) }
    return ok(c, shownPage.map(shown), { result_info: { page, per_page, ...counts } })
  })

  app.get(`${kvPath}/:id`, async (c) => ok(c, shown(await requireNamespace(c, parts, 'get namespace'))))

  app.delete(`${kvPath}/:id`, async (c) => {
    if (!(await removeKvNamespace(parts, c.req.param('id')))) throw noNamespace('remove namespace')
    return ok(c, null)
  })
}

function keyRoutes(app: Hono, parts: KvRoutesParts): void {
  const { kv, limits, clock } = parts

  app.get(`${kvPath}/:id/keys`, async (c) => {
    const { id } = await requireNamespace(c, parts, 'list keys')
    const { limit = limits.kvListKeys, prefix, cursor } = readQuery(c, keysQuery)
    const refusal = refusePrefix(prefix ?? '', limits.workersKvKeyBytes)
    if (refusal !== undefined) throw toVendor('list keys', refusal)
    const options = { limit, ...(prefix && { prefix }), ...(cursor && { cursor }) }
    const page = await act('list keys', () => kv.list(id, options))
    const keys = page.keys.map(({ name, metadata, expiresAt }) => ({
      name,
      ...(expiresAt !== undefined && { expiration: expiresAt / 1000 }),
      ...(metadata !== undefined && { metadata: JSON.parse(metadata) }),
    }))
    return ok(c, keys, { result_info: { count: keys.length, cursor: page.cursor ?? '' } })
  })

  app.put(`${kvPath}/:id/values/*`, async (c) => {
    const { id } = await requireNamespace(c, parts, 'put')
    const key = keyOf(c, 'values')
    requireKey('put', key, limits)
    const query = { expiration: c.req.query('expiration'), ttl: c.req.query('expiration_ttl') }
    const expiration = readExpiration(query, clock(), limits.kvMinimumTtlS)
    if (!expiration.ok) throw new VendorError(400, 10033, `put: '${expiration.message}'`)
    const { value, metadata } = await readKvBody(c.req, limits)
    if (metadata !== undefined) requireJson(metadata)
    const refusal = refuseValue(value.byteLength, metadata, ofWorkers(limits))
    if (refusal !== undefined) throw toVendor('put', refusal)
    const { ok: _, ...end } = expiration
    await act('put', () => kv.put(id, key, { value, ...end, ...(keepsMetadata(metadata) && { metadata }) }))
    return ok(c, null)
  })

  app.get(`${kvPath}/:id/values/*`, async (c) => {
    const { id } = await requireNamespace(c, parts, 'get')
    const key = keyOf(c, 'values')
    requireKey('get', key, limits)
    const found = await act('get', () => kv.get(id, key))
    if (found === undefined) throw noKey()
    const end = found.expiresAt === undefined ? {} : { expiration: `${found.expiresAt / 1000}` }
    const body = found.value as Uint8Array<ArrayBuffer>
    return c.body(body, 200, { 'content-type': 'application/octet-stream', ...end })
  })

  app.get(`${kvPath}/:id/metadata/*`, async (c) => {
    const { id } = await requireNamespace(c, parts, 'get')
    const key = keyOf(c, 'metadata')
    requireKey('get', key, limits)
    const found = await act('get', () => kv.get(id, key))
    if (found === undefined) throw noKey()
    return ok(c, found.metadata === undefined ? null : JSON.parse(found.metadata))
  })

  app.delete(`${kvPath}/:id/values/*`, async (c) => {
    const { id } = await requireNamespace(c, parts, 'remove')
    const key = keyOf(c, 'values')
    requireKey('remove', key, limits)
    await act('remove', () => kv.delete(id, key))
    return ok(c, null)
  })
}

const namespaceQuery = z.object({
  page: z.coerce.number().int().min(1).default(1),
  per_page: z.coerce.number().int().min(1).max(1000).default(20),
  order: z.enum(['id', 'title']).default('id'),
  direction: z.enum(['asc', 'desc']).default('asc'),
})

const keysQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1000).optional(),
  prefix: z.string().optional(),
  cursor: z.string().optional(),
})

function readQuery<Schema extends z.ZodType>(c: Context, schema: Schema): z.infer<Schema> {
  const read = schema.safeParse(c.req.query())
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new VendorError(400, 10033, `Invalid ${issue!.path.join('.')}: ${issue!.message}`)
}

/** wrangler and other clients do not always say that JSON is JSON: the path decides. */
async function readTitle(c: Context, limits: Limits): Promise<string> {
  const body = await readJson(c, limits.kvTitleBytes * 6 + 1024, 'create namespace')
  const read = z.object({ title: z.string() }).safeParse(body)
  if (!read.success) throw new VendorError(...refusals.title_missing)
  return read.data.title
}

/** Everything behind `/values/` is the key, as one percent-encoded whole; a slash in it may be encoded or not. */
function keyOf(c: Context, folder: 'values' | 'metadata'): string {
  const { pathname } = new URL(c.req.url)
  const marker = `/${c.req.param('id')}/${folder}/`
  const encoded = pathname.slice(pathname.indexOf(marker) + marker.length)
  try {
    return decodeURIComponent(encoded)
  } catch {
    throw new VendorError(400, 10033, `The key ${encoded} is not percent-encoded UTF-8.`)
  }
}

function noKey(): VendorError {
  return new VendorError(404, 10009, "get: 'key not found'")
}

function settled(outcome: KvNamespaceOutcome): KvNamespace {
  if (outcome.ok) return outcome.namespace
  const [status, code, message] = refusals[outcome.why]
  throw new VendorError(status, code, message)
}

function shown({ id, title }: KvNamespace): object {
  return { id, title, supports_url_encoding: true }
}

function requireJson(metadata: string): void {
  try {
    JSON.parse(metadata)
  } catch {
    throw new VendorError(400, 10147, 'metadata must be valid json')
  }
}
