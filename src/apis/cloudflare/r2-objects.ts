/** Objects by Cloudflare's API, as `wrangler r2 object put|get|delete` asks for them. */
import { Readable } from 'node:stream'
import type { Context, Hono } from 'hono'
import { bucketAt } from '#/core/bucket-calls.ts'
import { type BucketObject, type HttpFields, type StorageClass, storageClasses } from '#/core/buckets.ts'
import { ok, VendorError } from './envelope.ts'
import { doorError } from './errors.ts'
import { type R2RoutesParts, r2Path, requireBucket, storageClassOf, toVendor, untroubled } from './r2-request.ts'

const objectPath = `${r2Path}/:bucket/objects`

export function objectRoutes(app: Hono, parts: R2RoutesParts): void {
  const { homed } = parts

  app.put(`${objectPath}/*`, async (c) => {
    const resource = requireBucket(c, parts)
    const length = c.req.header('content-length')
    if (length === undefined) throw new VendorError(411, 10033, 'You must provide the Content-Length HTTP header.')
    const wish = {
      key: keyOf(c),
      bytes: Number(length),
      http: fieldsOf(c),
      storageClass: classOf(c) ?? storageClassOf(resource),
    }
    const { body } = c.req.raw
    const source = body === null ? null : Readable.fromWeb(body as never)
    const { object } = untroubled(await bucketAt(homed, resource.id).put(wish, source, c.req.raw.signal))
    return ok(c, shownObject(object))
  })

  app.get(objectPath, async (c) => {
    const { id } = requireBucket(c, parts)
    const { prefix, delimiter, cursor, start_after: startAfter, per_page } = c.req.query()
    const wish = {
      ...(prefix && { prefix }),
      ...(delimiter && { delimiter }),
      ...(cursor && { cursor }),
      ...(startAfter && { startAfter }),
      ...(per_page && { limit: Number(per_page) }),
      include: ['http', 'custom'] as const,
    }
    const page = untroubled(await bucketAt(homed, id).list(wish))
    const result_info = {
      ...(page.cursor && { cursor: page.cursor }),
      is_truncated: page.cursor !== undefined,
      delimited: page.prefixes,
    }
    return ok(c, page.objects.map(shownObject), { result_info })
  })

  app.get(`${objectPath}/*`, async (c) => {
    const { id } = requireBucket(c, parts)
    const found = untroubled(await bucketAt(homed, id).get(keyOf(c), {}, c.req.raw.signal))
    const { object, body } = found
    const headers = { ...headersOf(object), 'content-length': String(object.bytes) }
    if (body === null || body instanceof Uint8Array)
      return c.body((body ?? '') as Uint8Array<ArrayBuffer>, 200, headers)
    return c.body(Readable.toWeb(body) as ReadableStream, 200, headers)
  })

  app.delete(`${objectPath}/*`, async (c) => {
    const { id } = requireBucket(c, parts)
    const key = keyOf(c)
    const bucket = bucketAt(homed, id)
    const { locked } = untroubled(await bucket.delete([key]))
    if (locked.length > 0) throw toVendor({ trouble: 'locked' })
    return ok(c, { key })
  })
}

/** Everything behind `/objects/` is the key, percent-encoded. */
function keyOf(c: Context): string {
  const { pathname } = new URL(c.req.url)
  const marker = '/objects/'
  const encoded = pathname.slice(pathname.indexOf(marker) + marker.length)
  try {
    return decodeURIComponent(encoded)
  } catch {
    throw toVendor({ trouble: 'bad_key', detail: `The key ${encoded.slice(0, 200)} is not percent-encoded UTF-8.` })
  }
}

function classOf(c: Context): StorageClass | undefined {
  const asked = c.req.header('cf-r2-storage-class')
  if (asked === undefined) return undefined
  const known = storageClasses.find((one) => one === asked)
  if (known === undefined) throw doorError('badRequest', `cf-r2-storage-class is one of ${storageClasses.join(', ')}.`)
  return known
}

function fieldsOf(c: Context): HttpFields {
  const expires = c.req.header('expires')
  const expiresAt = expires === undefined ? undefined : Date.parse(expires)
  if (Number.isNaN(expiresAt)) throw doorError('badRequest', `'${expires!.slice(0, 80)}' is no date for expires.`)
  const fields = {
    contentType: c.req.header('content-type'),
    contentLanguage: c.req.header('content-language'),
    contentDisposition: c.req.header('content-disposition'),
    contentEncoding: c.req.header('content-encoding'),
    cacheControl: c.req.header('cache-control'),
    expiresAt,
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function headersOf({ etag, http, uploadedAt }: BucketObject): Record<string, string> {
  return {
    etag: `"${etag}"`,
    'last-modified': new Date(uploadedAt).toUTCString(),
    'content-type': http.contentType ?? 'application/octet-stream',
    ...(http.contentLanguage !== undefined && { 'content-language': http.contentLanguage }),
    ...(http.contentDisposition !== undefined && { 'content-disposition': http.contentDisposition }),
    ...(http.contentEncoding !== undefined && { 'content-encoding': http.contentEncoding }),
    ...(http.cacheControl !== undefined && { 'cache-control': http.cacheControl }),
    ...(http.expiresAt !== undefined && { expires: new Date(http.expiresAt).toUTCString() }),
  }
}

function shownObject(object: BucketObject): object {
  const { expiresAt, ...fields } = object.http
  return {
    key: object.key,
    etag: object.etag,
    size: String(object.bytes),
    version: object.version,
    last_modified: new Date(object.uploadedAt).toISOString(),
    storage_class: object.storageClass,
    http_metadata: { ...fields, ...(expiresAt !== undefined && { cacheExpiry: new Date(expiresAt).toISOString() }) },
    custom_metadata: object.custom,
  }
}
