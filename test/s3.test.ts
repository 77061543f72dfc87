/** The S3 API, asked by AWS's own SDK and by bare requests. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { type RunningNode, rimward, startNode } from './support/node.ts'

let node: RunningNode
let s3: S3Client
let keys: { accessKeyId: string; secretAccessKey: string; endpoint: string; region: string }

const client = (more: object = {}) =>
  new S3Client({
    endpoint: keys.endpoint,
    region: keys.region,
    forcePathStyle: true,
    credentials: { accessKeyId: keys.accessKeyId, secretAccessKey: keys.secretAccessKey },
    maxAttempts: 1,
    ...more,
  })

before(async () => {
  node = await startNode(undefined)
  const { code, output } = await rimward(node, node.data, ['r2', 'keys', '--json'])
  assert.equal(code, 0, output)
  keys = JSON.parse(output)
  s3 = client()
  await s3.send(new CreateBucketCommand({ Bucket: 'things' }))
})
after(async () => {
  s3?.destroy()
  await node?.stop('SIGKILL')
})

const Bucket = 'things'
const put = (Key: string, Body: string | Uint8Array | Readable, more: object = {}) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }))
const get = async (Key: string, more: object = {}) => {
  const answer = await s3.send(new GetObjectCommand({ Bucket, Key, ...more }))
  return { ...answer, text: await answer.Body!.transformToString() }
}
const fails = async (work: Promise<unknown>, name: string, status: number) =>
  assert.rejects(work, (error: { name: string; $metadata: { httpStatusCode: number } }) => {
    assert.deepEqual([error.name, error.$metadata.httpStatusCode], [name, status], String(error))
    return true
  })

test('buckets are made, listed, looked at and removed', async () => {
  await s3.send(new CreateBucketCommand({ Bucket: 'more-things' }))
  const { Buckets } = await s3.send(new ListBucketsCommand({}))
  assert.deepEqual(
    Buckets?.map(({ Name }) => Name),
    ['more-things', 'things'],
  )
  await s3.send(new HeadBucketCommand({ Bucket: 'more-things' }))
  await fails(s3.send(new CreateBucketCommand({ Bucket: 'things' })), 'BucketAlreadyOwnedByYou', 409)
  await fails(s3.send(new CreateBucketCommand({ Bucket: 'Not_a_name' })), 'InvalidBucketName', 400)
  await s3.send(new PutObjectCommand({ Bucket: 'more-things', Key: 'k', Body: 'v' }))
  await fails(s3.send(new DeleteBucketCommand({ Bucket: 'more-things' })), 'BucketNotEmpty', 409)
  await s3.send(new DeleteObjectCommand({ Bucket: 'more-things', Key: 'k' }))
  await s3.send(new DeleteBucketCommand({ Bucket: 'more-things' }))
  await fails(s3.send(new GetObjectCommand({ Bucket: 'more-things', Key: 'k' })), 'NoSuchBucket', 404)
})

test('objects: put, get, head, delete; metadata, ranges, conditions, odd keys', async () => {
  const odd = "a b/+&=?#%ä🧀'()*!~"
  await put(odd, 'odd', {
    ContentType: 'text/x',
    CacheControl: 'no-store',
    ContentEncoding: 'gzip',
    Expires: new Date('2027-01-02T03:04:05Z'),
    Metadata: { one: '1', two: 'zwei' },
    StorageClass: 'STANDARD_IA',
  })
  const got = await get(odd)
  assert.equal(got.text, 'odd')
  assert.deepEqual([got.ContentType, got.CacheControl, got.ContentEncoding], ['text/x', 'no-store', 'gzip'])
  assert.deepEqual([got.Metadata, got.StorageClass], [{ one: '1', two: 'zwei' }, 'STANDARD_IA'])
  const etag = `"${createHash('md5').update('odd').digest('hex')}"`
  assert.equal(got.ETag, etag)
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key: odd }))
  assert.deepEqual([head.ContentLength, head.ETag], [3, etag])
  const part = await get(odd, { Range: 'bytes=1-' })
  assert.deepEqual([part.text, part.ContentRange, part.$metadata.httpStatusCode], ['dd', 'bytes 1-2/3', 206])
  assert.equal((await get(odd, { ResponseContentType: 'text/y' })).ContentType, 'text/y')
  await fails(get(odd, { Range: 'bytes=9-' }), 'InvalidRange', 416)
  await fails(get(odd, { IfMatch: '"other"' }), 'PreconditionFailed', 412)
  await fails(get(odd, { IfNoneMatch: etag }), 'Unknown', 304)
  await fails(put(odd, 'again', { IfNoneMatch: '*' }), 'PreconditionFailed', 412)
  assert.equal((await get(odd)).text, 'odd')
  await fails(get('none'), 'NoSuchKey', 404)
  await s3.send(new DeleteObjectCommand({ Bucket, Key: odd }))
  await fails(s3.send(new HeadObjectCommand({ Bucket, Key: odd })), 'NotFound', 404)
  await fails(put('k', 'v', { SSECustomerAlgorithm: 'AES256', SSECustomerKey: 'k'.repeat(32) }), 'NotImplemented', 501)
  await fails(put('k', 'v', { Tagging: 'a=b' }), 'NotImplemented', 501)
  await fails(s3.send(new GetObjectTaggingCommand({ Bucket, Key: 'k' })), 'NotImplemented', 501)
})

test('bodies with checksums of each kind, streamed and whole', async () => {
  const body = Buffer.alloc(300_000, 'x')
  for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'SHA1', 'SHA256'] as const) {
    await put(`sum-${ChecksumAlgorithm}`, body, { ChecksumAlgorithm })
    // A stream goes in chunks, its checksum behind them.
    await put(`sum-stream`, Readable.from([body.subarray(0, 1000), body.subarray(1000)]), {
      ChecksumAlgorithm,
      ContentLength: body.length,
    })
    assert.equal((await get('sum-stream')).text.length, body.length)
  }
  await fails(put('wrong', body, { ChecksumCRC32: 'AAAAAA==' }), 'BadDigest', 400)
  await fails(put('wrong', body, { ContentMD5: createHash('md5').update('other').digest('base64') }), 'BadDigest', 400)
  await fails(get('wrong'), 'NoSuchKey', 404)
})

test('lists, both versions, with delimiters and pages; deletes of many', async () => {
  const keys = Array.from({ length: 25 }, (_, i) => `list/${i % 2 ? 'odd/' : ''}${String(i).padStart(2, '0')}`)
  await Promise.all(keys.map((key) => put(key, key)))
  const found: string[] = []
  let token: string | undefined
  do {
    const page = await s3.send(
      new ListObjectsV2Command({ Bucket, Prefix: 'list/', MaxKeys: 10, ContinuationToken: token }),
    )
    found.push(...(page.Contents ?? []).map(({ Key }) => Key!))
    token = page.NextContinuationToken
  } while (token !== undefined)
  assert.deepEqual(found, keys.toSorted())
  const groups = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'list/', Delimiter: '/' }))
  assert.deepEqual([groups.KeyCount, groups.CommonPrefixes], [14, [{ Prefix: 'list/odd/' }]])
  const seen: string[] = []
  let Marker: string | undefined
  do {
    const page = await s3.send(new ListObjectsCommand({ Bucket, Prefix: 'list/', Delimiter: '/', MaxKeys: 3, Marker }))
    seen.push(...(page.Contents ?? []).map(({ Key }) => Key!), ...(page.CommonPrefixes ?? []).map((one) => one.Prefix!))
    Marker = page.IsTruncated ? page.NextMarker : undefined
  } while (Marker !== undefined)
  assert.deepEqual(seen.toSorted(), [...keys.filter((key) => !key.includes('odd')), 'list/odd/'].toSorted())
  const Objects = [...keys, 'never'].map((Key) => ({ Key }))
  const deleted = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }))
  assert.equal(deleted.Deleted?.length, 26)
  assert.equal((await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'list/' }))).KeyCount, 0)
})

test('copies and uploads in parts', async () => {
  await put('from ä', 'copied', { Metadata: { a: '1' }, ContentType: 'text/x' })
  const CopySource = `${Bucket}/${encodeURIComponent('from ä')}`
  await s3.send(new CopyObjectCommand({ Bucket, Key: 'to', CopySource }))
  const copy = await get('to')
  assert.deepEqual([copy.text, copy.Metadata, copy.ContentType], ['copied', { a: '1' }, 'text/x'])
  const replace = { MetadataDirective: 'REPLACE', Metadata: { b: '2' } } as const
  await s3.send(new CopyObjectCommand({ Bucket, Key: 'to', CopySource: `${Bucket}/to`, ...replace }))
  assert.deepEqual((await get('to')).Metadata, { b: '2' })
  await fails(s3.send(new CopyObjectCommand({ Bucket, Key: 'to', CopySource: `${Bucket}/none` })), 'NoSuchKey', 404)

  const Key = 'parts'
  const size = 5 * 1024 * 1024
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ContentType: 'video/x' }))
  const upload = { Bucket, Key, UploadId }
  const first = await s3.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: Buffer.alloc(size, '1') }))
  await put('source', Buffer.alloc(size, '2'))
  const source = { CopySource: `${Bucket}/source`, CopySourceRange: `bytes=0-${size - 1}` }
  const second = await s3.send(new UploadPartCopyCommand({ ...upload, PartNumber: 2, ...source }))
  const third = await s3.send(new UploadPartCommand({ ...upload, PartNumber: 3, Body: 'end' }))
  const listed = await s3.send(new ListPartsCommand(upload))
  assert.deepEqual(
    listed.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size]),
    [
      [1, size],
      [2, size],
      [3, 3],
    ],
  )
  assert.equal((await s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads?.[0]?.UploadId, UploadId)
  const Parts = [first.ETag, second.CopyPartResult?.ETag, third.ETag].map((ETag, i) => ({ ETag, PartNumber: i + 1 }))
  const complete = (parts: object[]) =>
    s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } }))
  await fails(complete(Parts.toReversed()), 'InvalidPartOrder', 400)
  await fails(complete([{ PartNumber: 1, ETag: '"x"' }]), 'InvalidPart', 400)
  assert.match((await complete(Parts)).ETag!, /^"[0-9a-f]{32}-3"$/)
  const whole = await get(Key)
  assert.ok(whole.text === `${'1'.repeat(size)}${'2'.repeat(size)}end`)
  assert.equal(whole.ContentType, 'video/x')
  await fails(complete(Parts), 'NoSuchUpload', 404)
  const other = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }))
  await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: other.UploadId }))
  await fails(s3.send(new ListPartsCommand({ Bucket, Key, UploadId: other.UploadId })), 'NoSuchUpload', 404)
})

test('presigned addresses work for anyone, as long as they last and as they are', async () => {
  const sign = (command: GetObjectCommand | PutObjectCommand, expiresIn = 60) =>
    getSignedUrl(s3, command, { expiresIn })
  const answer = await fetch(await sign(new PutObjectCommand({ Bucket, Key: 'shared ä', Metadata: { by: 'url' } })), {
    method: 'PUT',
    body: 'by anyone',
  })
  assert.equal(answer.status, 200, await answer.text())
  const url = await sign(new GetObjectCommand({ Bucket, Key: 'shared ä' }))
  const text = async (address: string, init?: RequestInit) => {
    const got = await fetch(address, init)
    return `${got.status} ${await got.text()}`
  }
  assert.equal(await text(url), '200 by anyone')
  assert.deepEqual((await get('shared ä')).Metadata, { by: 'url' })
  assert.match(await text(url.replace('shared', 'sharex')), /^403 .*SignatureDoesNotMatch/s)
  assert.match(await text(url, { method: 'DELETE' }), /^403 .*SignatureDoesNotMatch/s)
  assert.match(await text(url.replace(/X-Amz-Expires=60/, 'X-Amz-Expires=6000')), /^403 .*SignatureDoesNotMatch/s)
  const past = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: 'shared ä' }), {
    expiresIn: 60,
    signingDate: new Date(Date.now() - 3_600_000),
  })
  assert.match(await text(past), /^400 .*ExpiredRequest/s)
  assert.match(await text(`${keys.endpoint}/things/k`), /^400 .*Authorization/s)
})

test('who has no keys is refused', async () => {
  const stranger = client({ credentials: { accessKeyId: keys.accessKeyId, secretAccessKey: 'wrong' } })
  await fails(stranger.send(new ListBucketsCommand({})), 'SignatureDoesNotMatch', 403)
  const nobody = client({ credentials: { accessKeyId: 'nobody', secretAccessKey: keys.secretAccessKey } })
  await fails(nobody.send(new ListBucketsCommand({})), 'Unauthorized', 401)
  const late = client({ systemClockOffset: -3_600_000 })
  await fails(late.send(new ListBucketsCommand({})), 'RequestTimeTooSkewed', 403)
  for (const one of [stranger, nobody, late]) one.destroy()
})
