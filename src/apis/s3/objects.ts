/** Objects: get, head, put, copy, delete. */
import { isTroubled } from '#/core/buckets.ts'
import type { S3Answer } from './answer.ts'
import { objectHeaders, quoted, xml } from './answer.ts'
import type { Call } from './call.ts'
import { factsOf, isNotModified, preconditionsOf, refuseFields, unmet } from './facts.ts'
import { invalid, notImplemented, ofTrouble, untroubled } from './trouble.ts'

const overrides = {
  'response-content-type': 'content-type',
  'response-content-language': 'content-language',
  'response-expires': 'expires',
  'response-cache-control': 'cache-control',
  'response-content-disposition': 'content-disposition',
  'response-content-encoding': 'content-encoding',
} as const

/** GET and HEAD. */
export async function getObject({ request, bucket, key }: Call): Promise<S3Answer> {
  refuseFields(request)
  for (const name of ['partNumber', 'versionId'])
    if (request.parameter(name) !== undefined) throw notImplemented(`Parameter '${name}'`)
  const header = request.header('range')
  const onlyIf = preconditionsOf(request)
  const range = header === undefined ? undefined : { header }
  const found = await bucket.get(key, { ...(onlyIf && { onlyIf }), ...(range && { range }) })
  if (isTroubled(found)) {
    if (found.trouble === 'unmet' && isNotModified(request, found.object!.etag))
      return { status: 304, headers: { etag: quoted(found.object!.etag) } }
    throw ofTrouble(found.trouble, found.detail)
  }
  const { object, range: sent, body } = found
  const isPart = header !== undefined && sent.length < object.bytes
  const headers: Record<string, string> = { ...objectHeaders(object), 'content-length': String(sent.length) }
  for (const [parameter, name] of Object.entries(overrides)) {
    const value = request.parameter(parameter)
    if (value !== undefined) headers[name] = Buffer.from(value.replace(/[\r\n]/g, '')).toString('latin1')
  }
  if (isPart) headers['content-range'] = `bytes ${sent.offset}-${sent.offset + sent.length - 1}/${object.bytes}`
  const isHead = request.method === 'HEAD'
  if (isHead && body !== null && 'destroy' in body) body.destroy()
  return { status: isPart ? 206 : 200, headers, body: isHead ? null : body }
}

export async function putObject({ request, bucket, key, usualClass, body, signal }: Call): Promise<S3Answer> {
  refuseFields(request)
  const { bytes, source, failure } = body()
  const onlyIf = preconditionsOf(request)
  const wish = { ...factsOf(request, key, usualClass), bytes, ...(onlyIf && { onlyIf }) }
  const put = await bucket.put(wish, source, signal).catch((error: unknown) => {
    throw failure() ?? error
  })
  const { object } = untroubled(put)
  return { status: 200, headers: { etag: quoted(object.etag), 'x-amz-version-id': object.version } }
}

export async function deleteObject({ request, bucket, key }: Call): Promise<S3Answer> {
  if (request.parameter('versionId') !== undefined) throw notImplemented(`Parameter 'versionId'`)
  const { locked } = untroubled(await bucket.delete([key]))
  if (locked.length > 0) throw ofTrouble('locked')
  return { status: 204 }
}

/** Bytes go from one bucket to the other; within one they are written anew. */
export async function copyObject(call: Call): Promise<S3Answer> {
  const { request, bucket, key, usualClass, signal } = call
  refuseFields(request)
  const found = await readSource(call)
  const directive = request.header('x-amz-metadata-directive') ?? 'COPY'
  if (directive !== 'COPY' && directive !== 'REPLACE') throw invalid('x-amz-metadata-directive')
  const { object, range, body } = found
  const given = factsOf(request, key, usualClass)
  const facts = directive === 'REPLACE' ? given : { ...given, http: object.http, custom: object.custom }
  const copyOf = sourceOf(call)
  const put = untroubled(await bucket.put({ ...facts, bytes: range.length, copyOf }, body, signal))
  const { etag, uploadedAt } = put.object
  return xml('CopyObjectResult', { ETag: quoted(etag), LastModified: new Date(uploadedAt).toISOString() })
}

/** What `x-amz-copy-source` names: `BUCKET/KEY`, percent-encoded. */
export async function readSource(call: Call, header?: string) {
  const { request, bucketNamed, signal } = call
  const source = sourceOf(call)
  const onlyIf = preconditionsOf(request, 'x-amz-copy-source-')
  const wish = { ...(onlyIf && { onlyIf }), ...(header !== undefined && { range: { header } }) }
  const found = await bucketNamed(source.bucket).get(source.object, wish, signal)
  if (isTroubled(found) && found.trouble === 'unmet') throw unmet()
  return untroubled(found)
}

function sourceOf({ request }: Call): { readonly bucket: string; readonly object: string } {
  const field = decodeURIComponent(request.header('x-amz-copy-source')!).replace(/^\//, '')
  const slash = field.indexOf('/')
  if (slash < 1 || slash === field.length - 1) throw invalid('copy source bucket name')
  return { bucket: field.slice(0, slash), object: field.slice(slash + 1) }
}
