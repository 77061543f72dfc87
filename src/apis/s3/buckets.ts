/** Buckets: list, make, look, remove; what is in them; deletes of many. */
import { bucketTroubles } from '#/core/buckets.ts'
import { className, quoted, type S3Answer, xml } from './answer.ts'
import { textOf } from './body.ts'
import type { Call, Desk } from './call.ts'
import { awsEncode } from './signature.ts'
import { invalid, notImplemented, untroubled } from './trouble.ts'
import { malformedXml } from './uploads.ts'
import { childText, readXml } from './xml.ts'

export function listBuckets({ owner, buckets }: Desk): S3Answer {
  const all = buckets
    .all()
    .map(({ name, createdAt }) => ({ Name: name, CreationDate: new Date(createdAt).toISOString() }))
  return xml('ListAllMyBucketsResult', { Owner: { ID: owner, DisplayName: owner }, Buckets: { Bucket: all } })
}

export const location = (): S3Answer => xml('LocationConstraint', 'auto')

/** ListObjects and ListObjectsV2. */
export async function listObjects({ request, bucket, bucketName, limits }: Call): Promise<S3Answer> {
  const { parameter } = request
  const isSecond = parameter('list-type') === '2'
  const encoding = parameter('encoding-type')
  if (encoding !== undefined && encoding !== 'url') throw invalid('encoding-type')
  const shown = (text: string) => (encoding === 'url' ? text.split('/').map(awsEncode).join('/') : text)
  const [prefix, delimiter] = [parameter('prefix') ?? '', parameter('delimiter') ?? '']
  const limit = Number(parameter('max-keys') ?? limits.bucketListKeys)
  if (!Number.isInteger(limit) || limit < 0) throw invalid('max-keys')
  const after = isSecond ? parameter('start-after') : markerOf(parameter('marker'), delimiter)
  const cursor = isSecond ? parameter('continuation-token') : undefined
  const page =
    limit === 0
      ? { objects: [], prefixes: [] }
      : untroubled(
          await bucket.list({
            ...{ prefix, delimiter, limit },
            ...(after !== undefined && { startAfter: after }),
            ...(cursor !== undefined && { cursor }),
          }),
        )
  const last = [page.objects.at(-1)?.key ?? '', page.prefixes.at(-1) ?? ''].toSorted().at(-1)!
  return xml('ListBucketResult', {
    Name: bucketName,
    Prefix: shown(prefix),
    Delimiter: delimiter === '' ? undefined : shown(delimiter),
    MaxKeys: limit,
    EncodingType: encoding,
    IsTruncated: page.cursor !== undefined,
    ...(isSecond
      ? {
          KeyCount: page.objects.length + page.prefixes.length,
          ContinuationToken: cursor,
          NextContinuationToken: page.cursor,
          StartAfter: after === undefined ? undefined : shown(after),
        }
      : { Marker: shown(parameter('marker') ?? ''), NextMarker: page.cursor === undefined ? undefined : shown(last) }),
    Contents: page.objects.map(({ key, uploadedAt, etag, bytes, storageClass }) => ({
      Key: shown(key),
      LastModified: new Date(uploadedAt).toISOString(),
      ETag: quoted(etag),
      Size: bytes,
      StorageClass: className(storageClass),
    })),
    CommonPrefixes: page.prefixes.map((one) => ({ Prefix: shown(one) })),
  })
}

/** Behind all keys of the group where the marker is one: no key goes on with the last character that there is. */
function markerOf(marker: string | undefined, delimiter: string): string | undefined {
  if (marker === undefined || delimiter === '' || !marker.endsWith(delimiter)) return marker
  return `${marker}\u{10ffff}`
}

export async function deleteObjects({ request, bucket, body, limits }: Call): Promise<S3Answer> {
  if (request.header('x-amz-mfa') !== undefined) throw notImplemented(`Header 'x-amz-mfa'`)
  const root = readXml(await textOf(body(), limits.bucketRequestBytes))
  if (root?.name !== 'Delete') throw malformedXml()
  const keys = root.children.filter(({ name }) => name === 'Object').map((one) => childText(one, 'Key'))
  if (keys.length > limits.bucketDeleteKeys || keys.length === 0 || keys.includes(undefined)) throw malformedXml()
  const { locked } = untroubled(await bucket.delete(keys as string[]))
  const isQuiet = childText(root, 'Quiet') === 'true'
  const deleted = (keys as string[]).filter((key) => !locked.includes(key))
  const [, , Code, Message] = bucketTroubles.locked
  return xml('DeleteResult', {
    Deleted: isQuiet ? [] : deleted.map((Key) => ({ Key })),
    Error: locked.map((Key) => ({ Key, Code, Message })),
  })
}
