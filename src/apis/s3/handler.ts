/** The S3 API: who asks, which operation answers, and the XML around what goes wrong. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AccessKeys } from '#/core/access-keys.ts'
import type { Clock } from '#/core/units.ts'
import { type S3Answer, send, xml } from './answer.ts'
import { type Authorized, authorize } from './authorize.ts'
import { bodyOf, textOf } from './body.ts'
import { deleteObjects, listBuckets, listObjects, location } from './buckets.ts'
import type { BucketBook, Call } from './call.ts'
import { deleteCors, getCors, preflight, putCors, withCors } from './cors.ts'
import { copyObject, deleteObject, getObject, putObject } from './objects.ts'
import { isS3, jurisdictionOf, readRequest, type S3Jurisdiction, type S3Request } from './request.ts'
import { notImplemented, ofTrouble, S3Error, toS3Error } from './trouble.ts'
import {
  abortUpload,
  completeUpload,
  copyPart,
  createUpload,
  listParts,
  listUploads,
  malformedXml,
  putPart,
} from './uploads.ts'
import { childText, readXml } from './xml.ts'

export interface S3Parts {
  readonly keys: AccessKeys
  /** Of a jurisdiction; undefined: of none. */
  readonly buckets: (jurisdiction: S3Jurisdiction | undefined) => BucketBook
  readonly limits: Call['limits'] & { readonly responseIdleTimeoutMs: number }
  readonly clock: Clock
  /** Told of bugs. */
  readonly log: (message: string, error: unknown) => void
}

/** Answers requests below `/s3`; false: this is none. */
export function s3Handler(parts: S3Parts): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (incoming, response) => {
    if (!isS3(incoming)) return false
    const left = new AbortController()
    response.on('close', () => left.abort())
    incoming.setTimeout(parts.limits.responseIdleTimeoutMs, () => incoming.destroy())
    response.setHeader('x-amz-request-id', randomUUID())
    const book = (asked: IncomingMessage) => parts.buckets(jurisdictionOf(asked))
    answer(parts, incoming, left.signal, book)
      .catch((thrown: unknown) => refused(parts, incoming, thrown))
      .then((given) => {
        const answered = shared(given, incoming, book)
        // What nobody has read would stand in front of the connection's next request.
        incoming.resume()
        if (!response.destroyed) send(response, answered)
      })
      .catch((error: unknown) => {
        parts.log('an answer of the S3 API was not sent', error)
        response.destroy()
      })
    return true
  }
}

function refused({ log }: S3Parts, incoming: IncomingMessage, thrown: unknown): S3Answer {
  const known = toS3Error(thrown)
  if (known === undefined && !incoming.destroyed) log(`${incoming.method} ${incoming.url} failed`, thrown)
  const { status, code, message } =
    known ?? new S3Error(500, 'InternalError', 'We encountered an internal error. Please try again.')
  const told = xml('Error', { Code: code, Message: message }, status)
  return incoming.method === 'HEAD' ? { status, headers: {} } : told
}

type Book = (incoming: IncomingMessage) => BucketBook

/** A URL that cannot be read has its answer already. */
function shared(answered: S3Answer, incoming: IncomingMessage, book: Book): S3Answer {
  try {
    return withCors(answered, incoming, book)
  } catch {
    return answered
  }
}

async function answer(parts: S3Parts, incoming: IncomingMessage, signal: AbortSignal, book: Book): Promise<S3Answer> {
  if (incoming.method === 'OPTIONS') return preflight(incoming, book)
  const { keys, clock, limits } = parts
  const buckets = book(incoming)
  const request = readRequest(incoming)
  const authorized = authorize(request, keys, clock())
  const { bucket: name, key, method } = request
  if (name === undefined) {
    if (method === 'GET') return listBuckets({ owner: keys.accessKeyId, buckets })
    throw notAllowed(method)
  }
  if (key === undefined && method === 'PUT' && request.query.every(([one]) => /^x-amz-/i.test(one) || one === 'x-id'))
    return createBucket({ buckets, limits }, request, authorized, name)
  const found = buckets.find(name)
  if (found === undefined) throw ofTrouble('no_bucket')
  if (key === undefined && method === 'DELETE' && operationOf(request) === '') {
    await buckets.remove(name)
    return { status: 204 }
  }
  const call: Call = {
    ...{ request, bucketName: name, key: key ?? '', signal, limits, now: clock() },
    bucket: found.bucket,
    cors: found.cors,
    setCors: found.setCors,
    usualClass: found.storageClass,
    bucketNamed(other) {
      const source = buckets.find(other)
      if (source === undefined) throw ofTrouble('no_bucket')
      return source.bucket
    },
    body: () => bodyOf(request, authorized),
  }
  return key === undefined ? bucketOperation(call) : objectOperation(call)
}

async function createBucket(
  { buckets, limits }: { readonly buckets: BucketBook; readonly limits: Call['limits'] },
  request: S3Request,
  authorized: Authorized,
  name: string,
): Promise<S3Answer> {
  const text = await textOf(bodyOf(request, authorized), limits.metadataBytes)
  const wish = text.trim() === '' ? undefined : readXml(text)
  if (text.trim() !== '' && wish?.name !== 'CreateBucketConfiguration') throw malformedXml()
  const place = wish && childText(wish, 'LocationConstraint')
  await buckets.create(name, place === '' ? undefined : place)
  return { status: 200, headers: { location: `/${name}` } }
}

/** Parameters that say no operation. */
const plain = new Set([
  'x-id',
  'list-type',
  'prefix',
  'delimiter',
  'max-keys',
  'marker',
  'start-after',
  'encoding-type',
])
for (const name of ['continuation-token', 'fetch-owner', 'key-marker', 'upload-id-marker', 'max-uploads', 'max-parts'])
  plain.add(name)
for (const name of ['part-number-marker', 'uploadId', 'partNumber', 'versionId']) plain.add(name)

/** The parameter that says which operation is meant, such as `uploads`; '' where there is none. */
function operationOf({ query }: S3Request): string {
  const named = query.map(([name]) => name)
  return named.find((name) => !plain.has(name) && !/^x-amz-/i.test(name) && !name.startsWith('response-')) ?? ''
}

const notAllowed = (method: string) =>
  new S3Error(405, 'MethodNotAllowed', `The specified method is not allowed against this resource: ${method}.`)

function bucketOperation(call: Call): Promise<S3Answer> | S3Answer {
  const { request } = call
  const operation = operationOf(request)
  switch (`${request.method} ${operation}`) {
    case 'GET ':
      return listObjects(call)
    case 'HEAD ':
      return { status: 200 }
    case 'GET location':
      return location()
    case 'GET cors':
      return getCors(call)
    case 'PUT cors':
      return putCors(call)
    case 'DELETE cors':
      return deleteCors(call)
    case 'GET uploads':
      return listUploads(call)
    case 'POST delete':
      return deleteObjects(call)
    default:
      throw operation === '' ? notAllowed(request.method) : notImplemented(`Operation '${operation.slice(0, 60)}'`)
  }
}

function objectOperation(call: Call): Promise<S3Answer> {
  const { request } = call
  const operation = operationOf(request)
  const isUpload = request.parameter('uploadId') !== undefined
  const isCopy = request.header('x-amz-copy-source') !== undefined
  switch (`${request.method} ${operation}`) {
    case 'GET ':
      return isUpload ? listParts(call) : getObject(call)
    case 'HEAD ':
      return getObject(call)
    case 'PUT ':
      if (isUpload) return isCopy ? copyPart(call) : putPart(call)
      return isCopy ? copyObject(call) : putObject(call)
    case 'DELETE ':
      return isUpload ? abortUpload(call) : deleteObject(call)
    case 'POST uploads':
      return createUpload(call)
    case 'POST ':
      if (isUpload) return completeUpload(call)
      throw notAllowed('POST')
    default:
      throw operation === '' ? notAllowed(request.method) : notImplemented(`Operation '${operation.slice(0, 60)}'`)
  }
}
