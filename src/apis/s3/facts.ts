/** What a request says of an object besides its bytes, and what it asks to hold. */
import {
  bucketTroubles,
  type EtagMatch,
  type HttpFields,
  type ObjectFacts,
  type Preconditions,
  type StorageClass,
} from '#/core/buckets.ts'
import { parseEntityTags } from '#/http/conditional.ts'
import type { S3Request } from './request.ts'
import { invalid, notImplemented, S3Error } from './trouble.ts'

/** What R2 knows and refuses («R2 > S3 API compatibility»), and keys of the client's own. */
const refusedFields = [
  'x-amz-tagging',
  'x-amz-grant-full-control',
  'x-amz-grant-read',
  'x-amz-grant-read-acp',
  'x-amz-grant-write-acp',
  'x-amz-website-redirect-location',
  'x-amz-object-lock-mode',
  'x-amz-object-lock-retain-until-date',
  'x-amz-object-lock-legal-hold',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-server-side-encryption-customer-algorithm',
  'x-amz-server-side-encryption-customer-key',
  'x-amz-copy-source-server-side-encryption-customer-algorithm',
  'x-amz-write-offset-bytes',
]

/** Throws an `S3Error` that names what is not supported. */
export function refuseFields({ header }: S3Request): void {
  for (const name of refusedFields) if (header(name) !== undefined) throw notImplemented(`Header '${name}'`)
  const encryption = header('x-amz-server-side-encryption')
  if (encryption !== undefined && encryption !== 'AES256')
    throw notImplemented(`x-amz-server-side-encryption '${encryption}'`)
}

export function factsOf(request: S3Request, key: string, usual: StorageClass): ObjectFacts {
  return { key, http: httpOf(request), custom: customOf(request), storageClass: classOf(request) ?? usual }
}

const text = (value: string) => Buffer.from(value, 'latin1').toString()

function httpOf({ header }: S3Request): HttpFields {
  const expires = header('expires')
  const expiresAt = expires === undefined ? undefined : Date.parse(expires)
  if (Number.isNaN(expiresAt)) throw invalid('Expires')
  // `aws-chunked` is how the body came, not what it is.
  const coding = header('content-encoding')
    ?.split(',')
    .map((one) => one.trim())
    .filter((one) => one !== 'aws-chunked')
    .join(', ')
  const fields = {
    contentType: header('content-type'),
    contentLanguage: header('content-language'),
    contentDisposition: header('content-disposition'),
    contentEncoding: coding === '' ? undefined : coding,
    cacheControl: header('cache-control'),
  }
  const given = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, text(value)]]))
  return { ...Object.fromEntries(given), ...(expiresAt !== undefined && { expiresAt }) }
}

function customOf({ fields }: S3Request): Record<string, string> {
  const prefix = 'x-amz-meta-'
  const found = [...fields].filter(([name]) => name.startsWith(prefix))
  return Object.fromEntries(found.map(([name, value]) => [name.slice(prefix.length), text(value)]))
}

function classOf({ header }: S3Request): StorageClass | undefined {
  const asked = header('x-amz-storage-class')
  if (asked === undefined) return undefined
  if (asked === 'STANDARD') return 'Standard'
  if (asked === 'STANDARD_IA') return 'InfrequentAccess'
  throw new S3Error(400, 'InvalidStorageClass', 'The storage class specified is not valid.')
}

/** Of the fields with this in front: '' or `x-amz-copy-source-`. */
export function preconditionsOf({ header }: S3Request, prefix = ''): Preconditions | undefined {
  const [match, noneMatch, since, until] = ['match', 'none-match', 'modified-since', 'unmodified-since'].map((name) =>
    header(`${prefix}if-${name}`),
  )
  const found = {
    ...(match !== undefined && { matches: tags(match) }),
    ...(noneMatch !== undefined && { matchesNot: tags(noneMatch) }),
    ...(since !== undefined && { after: dateOf(since) }),
    ...(until !== undefined && { before: dateOf(until) }),
  }
  return Object.keys(found).length === 0 ? undefined : { ...found, inSeconds: true }
}

function tags(field: string): EtagMatch[] {
  const read = parseEntityTags(field)
  if (read === 'any') return [{ kind: 'any' }]
  // Some clients leave the quotes away.
  const found = read.length === 0 ? [`"${field.trim()}"`] : read
  return found.map((tag) => ({
    kind: tag.startsWith('W/') ? 'weak' : 'strong',
    etag: tag.replace(/^W\//, '').slice(1, -1),
  }))
}

/** A field counts in whole seconds, and «since» includes its second (RFC 9110 §13.1.3). */
function dateOf(value: string): number {
  const at = Date.parse(value)
  if (Number.isNaN(at)) throw invalid('A conditional date cannot be read.')
  return at
}

/** An unmet condition: 304 where the client has what it asks for, 412 otherwise (RFC 9110 §13.2.2). */
export function isNotModified(request: S3Request, etag: string): boolean {
  const { matches, matchesNot, before } = preconditionsOf(request) ?? {}
  const has = (list: readonly EtagMatch[]) => list.some((one) => one.kind === 'any' || one.etag === etag)
  if (matches !== undefined && !has(matches)) return false
  if (matchesNot !== undefined) return has(matchesNot)
  return before === undefined || matches !== undefined
}

export const unmet = () => new S3Error(412, bucketTroubles.unmet[2], bucketTroubles.unmet[3])
