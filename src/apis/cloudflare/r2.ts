/**
 * Cloudflare's calls for R2's buckets (https://developers.cloudflare.com/api/resources/r2/), as far as wrangler makes them.
 * Objects are in `r2-objects.ts`, the S3 API in `apis/s3`.
 */
import { randomUUID } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import { putBucketSites } from '#/control/bucket-sites.ts'
import { Refusal } from '#/control/refusal.ts'
import { bucketAt } from '#/core/bucket-calls.ts'
import { isTroubled, storageClasses } from '#/core/buckets.ts'
import { countryGroups } from '#/core/residency.ts'
import type { Resource } from '#/core/resources.ts'
import { ok, VendorError } from './envelope.ts'
import { doorError } from './errors.ts'
import { isBucketName, jurisdictions, resourceNameOf } from './r2-names.ts'
import { noticeRoutes } from './r2-notices.ts'
import { objectRoutes } from './r2-objects.ts'
import { jurisdictionOf, nameOf, type R2RoutesParts, r2Path, requireBucket, storageClassOf } from './r2-request.ts'
import { settingsRoutes } from './r2-settings.ts'
import { readJson } from './read-json.ts'

const storageClass = z.enum(storageClasses)
const locations = ['wnam', 'enam', 'weur', 'eeur', 'apac', 'oc'] as const
const wish = z.strictObject({
  name: z.string(),
  storageClass: storageClass.optional(),
  locationHint: z
    .preprocess((text) => (typeof text === 'string' ? text.toLowerCase() : text), z.enum(locations))
    .optional(),
})

export function r2Routes(parts: R2RoutesParts): Hono {
  const app = new Hono()
  const { control, limits } = parts

  app.post(r2Path, async (c) => {
    const { name, storageClass = 'Standard', locationHint: hint } = await readJson(c, wish, limits.metadataBytes)
    if (!isBucketName(name)) throw new VendorError(400, 10005, 'The specified bucket name is not valid.')
    const jurisdiction = jurisdictionOf(c)
    const id = randomUUID()
    const within = jurisdiction && countryGroups.get(jurisdiction)!
    // Before it exists, so that nothing of it ever lies elsewhere.
    if (within !== undefined) await control.setPlacement({ kind: 'bucket', id }, within)
    try {
      const made = await control.createResource({
        ...{ kind: 'bucket', id, name: resourceNameOf(name, jurisdiction), settings: { storageClass } },
        ...(hint && { hint }),
      })
      return ok(c, shown(made))
    } catch (error) {
      if (within !== undefined) await control.setPlacement({ kind: 'bucket', id }, undefined)
      if (!(error instanceof Refusal) || error.code !== 'name_taken') throw error
      throw new VendorError(400, 10004, 'The bucket you tried to create already exists, and you own it.')
    }
  })

  app.get(r2Path, (c) => {
    const { cursor, start_after, name_contains = '', direction = 'asc', per_page } = readQuery(c)
    const jurisdiction = jurisdictionOf(c)
    const all = control
      .resources('bucket')
      .filter((one) => one.name.split('@')[1] === jurisdiction && one.name.includes(name_contains))
      .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    if (direction === 'desc') all.reverse()
    const after = cursor === undefined ? start_after : Buffer.from(cursor, 'base64url').toString()
    const behind = all.filter(
      ({ name }) => after === undefined || (direction === 'desc' ? nameOf(name) < after : nameOf(name) > after),
    )
    const page = behind.slice(0, per_page)
    const last = page.at(-1)
    const next = last && page.length < behind.length ? Buffer.from(nameOf(last.name)).toString('base64url') : ''
    return ok(c, { buckets: page.map(shown) }, { result_info: { cursor: next, per_page } })
  })

  app.get(`${r2Path}/:bucket`, (c) => ok(c, shown(requireBucket(c, parts))))

  app.patch(`${r2Path}/:bucket`, async (c) => {
    const bucket = requireBucket(c, parts)
    const read = storageClass.safeParse(c.req.header('cf-r2-storage-class'))
    if (!read.success) throw doorError('badRequest', `cf-r2-storage-class is one of ${storageClasses.join(', ')}.`)
    const changed = await control.changeResource(bucket, ({ settings }) => ({
      settings: { ...settings, storageClass: read.data },
    }))
    return ok(c, shown(changed))
  })

  app.delete(`${r2Path}/:bucket`, async (c) => {
    const found = requireBucket(c, parts)
    await removeBucket(parts, found)
    return ok(c, {})
  })

  objectRoutes(app, parts)
  settingsRoutes(app, parts)
  noticeRoutes(app, parts)
  sumsRoute(app, parts)
  return app
}

const query = z.object({
  cursor: z.string().optional(),
  start_after: z.string().optional(),
  name_contains: z.string().optional(),
  direction: z.enum(['asc', 'desc']).optional(),
  per_page: z.coerce.number().int().min(1).max(1000).default(1000),
})

function readQuery(c: Context): z.infer<typeof query> {
  const read = query.safeParse(c.req.query())
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw doorError('badRequest', `Invalid ${issue!.path.join('.')}: ${issue!.message}`)
}

/** Closed first, so that nothing is put into it between the look and the end. Throws a `VendorError` where it is not empty. */
export async function removeBucket(
  { control, homed }: Pick<R2RoutesParts, 'control' | 'homed'>,
  found: Resource,
): Promise<void> {
  const bucket = bucketAt(homed, found.id)
  const closed = await bucket.close({ open: false })
  if (isTroubled(closed))
    throw new VendorError(409, 10008, `The bucket you tried to delete (${nameOf(found.name)}) is not empty.`)
  try {
    await putBucketSites(control, found, { isPublic: false, domains: [] })
    await control.removeResource(found)
  } catch (error) {
    await bucket.close({ open: true }).catch(() => {})
    throw error
  }
  if (control.placements().some(({ kind, id }) => kind === 'bucket' && id === found.id))
    await control.setPlacement({ kind: 'bucket', id: found.id }, undefined)
}

function shown(resource: Resource): object {
  const { name, createdAt, hint } = resource
  const [bucket, jurisdiction = 'default'] = name.split('@')
  return {
    name: bucket,
    creation_date: new Date(createdAt).toISOString(),
    jurisdiction,
    storage_class: storageClassOf(resource),
    ...(hint && { location: hint }),
  }
}

/** wrangler's `r2 bucket info` asks the analytics API for a bucket's size; of all that it knows, this one is answered. */
function sumsRoute(app: Hono, { control, homed, limits }: R2RoutesParts): void {
  const asked = z.object({
    query: z.string(),
    variables: z.object({ filter: z.object({ bucketName: z.string() }) }),
  })
  app.post('/graphql', async (c, next) => {
    const text = await c.req.raw.clone().text()
    if (text.length > limits.metadataBytes || !text.includes('r2StorageAdaptiveGroups')) return next()
    const { bucketName } = asked.parse(JSON.parse(text)).variables.filter
    const jurisdiction = jurisdictions.find((one) => bucketName.startsWith(`${one}_`))
    const name = resourceNameOf(jurisdiction ? bucketName.slice(jurisdiction.length + 1) : bucketName, jurisdiction)
    const found = control.resources('bucket').find((one) => one.name === name)
    const { objects, bytes } = found ? await bucketAt(homed, found.id).sums() : { objects: 0, bytes: 0 }
    const max = { objectCount: objects, payloadSize: bytes, metadataSize: 0 }
    const r2StorageAdaptiveGroups = [{ max, dimensions: { datetime: new Date().toISOString() } }]
    return c.json({ data: { viewer: { accounts: [{ r2StorageAdaptiveGroups }] } }, errors: null })
  })
}
