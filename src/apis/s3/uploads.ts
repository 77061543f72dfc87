/** Objects in parts. */
import type { UploadedPart } from '#/core/buckets.ts'
import { className, quoted, type S3Answer, xml } from './answer.ts'
import { textOf } from './body.ts'
import type { Call } from './call.ts'
import { factsOf, refuseFields } from './facts.ts'
import { readSource } from './objects.ts'
import { invalid, notImplemented, S3Error, untroubled } from './trouble.ts'
import { childText, readXml } from './xml.ts'

export async function createUpload({ request, bucket, bucketName, key, usualClass }: Call): Promise<S3Answer> {
  refuseFields(request)
  if (request.header('x-amz-checksum-type') === 'FULL_OBJECT') throw notImplemented("x-amz-checksum-type 'FULL_OBJECT'")
  const { uploadId } = untroubled(await bucket.createUpload(factsOf(request, key, usualClass)))
  return xml('InitiateMultipartUploadResult', { Bucket: bucketName, Key: key, UploadId: uploadId })
}

function partNumber({ request, limits }: Call): number {
  const number = Number(request.parameter('partNumber'))
  if (Number.isInteger(number) && number >= 1 && number <= limits.bucketParts) return number
  throw invalid(`Part number must be an integer between 1 and ${limits.bucketParts}, inclusive.`)
}

export async function putPart(call: Call): Promise<S3Answer> {
  const { request, bucket, key, body, signal } = call
  refuseFields(request)
  const number = partNumber(call)
  const { bytes, source, failure } = body()
  const part = { key, uploadId: request.parameter('uploadId')!, number, bytes }
  const put = await bucket.putPart(part, source, signal).catch((error: unknown) => {
    throw failure() ?? error
  })
  return { status: 200, headers: { etag: quoted(untroubled(put).etag) } }
}

export async function copyPart(call: Call): Promise<S3Answer> {
  const { request, bucket, key, signal } = call
  refuseFields(request)
  const found = await readSource(call, request.header('x-amz-copy-source-range'))
  const part = { key, uploadId: request.parameter('uploadId')!, number: partNumber(call), bytes: found.range.length }
  const { etag } = untroubled(await bucket.putPart(part, found.body, signal))
  return xml('CopyPartResult', { ETag: quoted(etag), LastModified: new Date(call.now).toISOString() })
}

export async function completeUpload(call: Call): Promise<S3Answer> {
  const { request, bucket, bucketName, key, body, limits } = call
  const parts = readParts(await textOf(body(), limits.bucketRequestBytes))
  if (parts.length > limits.bucketParts) throw invalid(`An object has at most ${limits.bucketParts} parts.`)
  for (const [index, { number }] of parts.entries())
    if (index > 0 && number <= parts[index - 1]!.number)
      throw new S3Error(400, 'InvalidPartOrder', 'The list of parts was not in ascending order.')
  const { object } = untroubled(await bucket.completeUpload(key, request.parameter('uploadId')!, parts))
  return xml('CompleteMultipartUploadResult', {
    Location: `/${bucketName}/${key}`,
    Bucket: bucketName,
    Key: key,
    ETag: quoted(object.etag),
  })
}

export const malformedXml = () =>
  new S3Error(
    400,
    'MalformedXML',
    'The XML you provided was not well formed or did not validate against our published schema.',
  )

function readParts(text: string): UploadedPart[] {
  const root = readXml(text)
  if (root?.name !== 'CompleteMultipartUpload') throw malformedXml()
  return root.children
    .filter(({ name }) => name === 'Part')
    .map((part) => {
      const number = Number(childText(part, 'PartNumber'))
      const etag = childText(part, 'ETag')?.replace(/^"|"$/g, '')
      if (!Number.isInteger(number) || etag === undefined) throw malformedXml()
      return { number, etag }
    })
}

export async function abortUpload({ request, bucket, key }: Call): Promise<S3Answer> {
  untroubled(await bucket.abortUpload(key, request.parameter('uploadId')!))
  return { status: 204 }
}

export async function listParts({ request, bucket, bucketName, key, limits }: Call): Promise<S3Answer> {
  const uploadId = request.parameter('uploadId')!
  const { parts } = untroubled(await bucket.listParts(key, uploadId))
  const after = Number(request.parameter('part-number-marker') ?? 0)
  const most = Math.min(Number(request.parameter('max-parts') ?? 1000), 1000, limits.bucketParts)
  const rest = parts.filter(({ number }) => number > after)
  const shown = rest.slice(0, most)
  return xml('ListPartsResult', {
    Bucket: bucketName,
    Key: key,
    UploadId: uploadId,
    PartNumberMarker: after,
    MaxParts: most,
    IsTruncated: shown.length < rest.length,
    NextPartNumberMarker: shown.length < rest.length ? shown.at(-1)?.number : undefined,
    Part: shown.map(({ number, etag, bytes, uploadedAt }) => ({
      PartNumber: number,
      LastModified: new Date(uploadedAt).toISOString(),
      ETag: quoted(etag),
      Size: bytes,
    })),
  })
}

export async function listUploads({ request, bucket, bucketName }: Call): Promise<S3Answer> {
  if (request.parameter('delimiter') !== undefined) throw notImplemented(`Parameter 'delimiter'`)
  const { uploads } = untroubled(await bucket.listUploads(request.parameter('prefix') ?? ''))
  const after = request.parameter('upload-id-marker')
  const from = after === undefined ? 0 : uploads.findIndex(({ id }) => id === after) + 1
  const most = Math.min(Number(request.parameter('max-uploads') ?? 1000), 1000)
  const shown = uploads.slice(from, from + most)
  const isTruncated = from + shown.length < uploads.length
  return xml('ListMultipartUploadsResult', {
    Bucket: bucketName,
    MaxUploads: most,
    IsTruncated: isTruncated,
    ...(isTruncated && { NextKeyMarker: shown.at(-1)!.key, NextUploadIdMarker: shown.at(-1)!.id }),
    Upload: shown.map(({ key, id, createdAt, storageClass }) => ({
      Key: key,
      UploadId: id,
      Initiated: new Date(createdAt).toISOString(),
      StorageClass: className(storageClass),
    })),
  })
}
