/**
 * Buckets that are public: sites whose origin is a bucket. Behind the shared cache, in front of the pools; nothing of such a
 * request leaves the platform.
 */
import { bucketAt } from '#/core/bucket-calls.ts'
import { bucketOfOrigin, bucketSettingsOf, corsHeaders, preflightHeaders } from '#/core/bucket-settings.ts'
import { type BucketObject, isTroubled } from '#/core/buckets.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Egress, EgressAnswer, EgressRequest } from '#/core/ports.ts'
import type { Resource } from '#/core/resources.ts'
import { parseEntityTags, sameEntityTag } from '#/http/conditional.ts'
import { headerValue } from '#/http/header-list.ts'

export interface PublicBucketsOptions {
  readonly bucket: (id: string) => Resource | undefined
  readonly homed: Pick<HomedStores, 'call'>
}

export function withPublicBuckets(next: Egress, options: PublicBucketsOptions): Egress {
  return {
    async fetch(request) {
      if (!('site' in request.by)) return next.fetch(request)
      const url = new URL(request.url)
      const id = bucketOfOrigin(url.hostname)
      if (id === undefined) return next.fetch(request)
      return answer(request, url, options.bucket(id), options)
    },
    close: () => next.close(),
  }
}

async function answer(
  request: EgressRequest,
  { pathname }: URL,
  resource: Resource | undefined,
  { homed }: PublicBucketsOptions,
): Promise<EgressAnswer> {
  if (resource === undefined || !isShownAt(resource, request.publicUrl)) return told(404, 'There is nothing here.')
  const { cors = [] } = bucketSettingsOf(resource)
  const field = (name: string) => headerValue(request.headers, name)
  const { method } = request
  const origin = field('origin')
  if (method === 'OPTIONS') {
    const asked = { origin, method: field('access-control-request-method') }
    const allowed = preflightHeaders(cors, { ...asked, headers: field('access-control-request-headers') })
    return allowed === undefined ? told(403, 'Forbidden.') : { status: 204, headers: listed(allowed), body: null }
  }
  const shared = listed(corsHeaders(cors, { origin, method }))
  if (method !== 'GET' && method !== 'HEAD') return told(405, 'Method not allowed.', ['allow', 'GET, HEAD, OPTIONS'])
  const key = keyOf(pathname)
  if (key === undefined || key === '') return told(404, 'There is no such object.', shared)
  const range = field('range')
  const bucket = bucketAt(homed, resource.id)
  const found = await bucket.get(key, range === undefined ? {} : { range: { header: range } }, request.signal)
  if (isTroubled(found)) {
    if (found.trouble === 'bad_range')
      return told(416, 'The range cannot be had.', [...shared, 'content-range', `bytes */${found.object?.bytes ?? 0}`])
    return told(404, 'There is no such object.', shared)
  }
  const { object, range: sent, body } = found
  const headers = [...headersOf(object), ...shared]
  const drop = () => body !== null && 'destroy' in body && body.destroy()
  if (isUnchanged(object, field('if-none-match'), field('if-modified-since'))) {
    drop()
    return { status: 304, headers, body: null }
  }
  headers.push('content-length', String(sent.length))
  const isPart = range !== undefined && sent.length < object.bytes
  if (isPart) headers.push('content-range', `bytes ${sent.offset}-${sent.offset + sent.length - 1}/${object.bytes}`)
  if (method === 'HEAD') drop()
  return { status: isPart ? 206 : 200, headers, body: method === 'HEAD' ? null : body }
}

/** The address of the platform's own is another switch than the owner's domains. */
function isShownAt(resource: Resource, publicUrl: string | undefined): boolean {
  const { isPublic, domains } = bucketSettingsOf(resource)
  const host = publicUrl === undefined ? '' : new URL(publicUrl).hostname
  if (host.startsWith('pub-')) return isPublic
  return domains.some(({ domain, enabled }) => enabled && domain === host)
}

function keyOf(pathname: string): string | undefined {
  try {
    return decodeURIComponent(pathname.slice(1))
  } catch {
    return undefined
  }
}

/** RFC 9110 §13.1.2, §13.1.3. */
function isUnchanged({ etag, uploadedAt }: BucketObject, noneMatch: string | undefined, since: string | undefined) {
  if (noneMatch !== undefined) {
    const tags = parseEntityTags(noneMatch)
    return tags === 'any' || tags.some((tag) => sameEntityTag(tag, `"${etag}"`, { weak: true }))
  }
  return since !== undefined && Math.floor(uploadedAt / 1000) * 1000 <= Date.parse(since)
}

const bytes = (text: string) => Buffer.from(text).toString('latin1')

function headersOf({ etag, uploadedAt, http }: BucketObject): HeaderList {
  const fields = {
    'content-type': http.contentType ?? 'application/octet-stream',
    etag: `"${etag}"`,
    'last-modified': new Date(uploadedAt).toUTCString(),
    'accept-ranges': 'bytes',
    'content-language': http.contentLanguage,
    'content-disposition': http.contentDisposition,
    'content-encoding': http.contentEncoding,
    'cache-control': http.cacheControl,
    expires: http.expiresAt === undefined ? undefined : new Date(http.expiresAt).toUTCString(),
  }
  return listed(fields)
}

function listed(fields: Readonly<Record<string, string | undefined>>): HeaderList {
  return Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [name, bytes(value)]))
}

function told(status: number, text: string, more: HeaderList = []): EgressAnswer {
  const body = Buffer.from(`${text}\n`)
  const headers = ['content-type', 'text/plain;charset=UTF-8', 'content-length', String(body.length), ...more]
  return { status, headers, body }
}
