/**
 * The wire protocol of the runtime's own R2 binding (workerd: src/workerd/api/r2-rpc.c++, r2-api.capnp): what is asked is
 * JSON in `cf-r2-request`, or stands in front of the body, as long as `cf-r2-metadata-size` says; answers likewise.
 */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { bucketAt } from '#/core/bucket-calls.ts'
import { type Bucket, bucketTroubles, isTroubled, type Troubled } from '#/core/buckets.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import { headerValue } from '#/http/header-list.ts'
import type { BackplaneHandler, BackplaneRequest } from './backplane.ts'
import {
  type BucketRequest,
  readBucketRequest,
  toFacts,
  toListWish,
  toPreconditions,
  toPutDigests,
  toRangeWish,
  writeObject,
  writePage,
} from './bucket-wire.ts'

interface BucketDependencies {
  readonly homed: Pick<HomedStores, 'call'>
  readonly limits: Pick<Limits, 'bucketRequestBytes' | 'bucketInlineBytes' | 'bucketDeleteKeys' | 'bucketParts'>
}

/** A request and what stands behind its JSON. */
interface Asked {
  readonly request: BucketRequest
  readonly bytes: number
  readonly body: IncomingMessage | null
}

/** Handler for requests of kind `bucket`; the id is the bucket's. */
export function bucketHandler({ homed, limits }: BucketDependencies): BackplaneHandler {
  return async (request) => {
    const bucket = bucketAt(homed, request.id)
    try {
      const asked = request.method === 'GET' ? readHead(request) : await readBody(request, limits.bucketRequestBytes)
      return 'trouble' in asked ? refused(asked) : await answer(bucket, asked, request.signal)
    } catch (error) {
      if (!(error instanceof EdgeError)) throw error
      const missing = error.code === 'store_unknown'
      return missing ? refused({ trouble: 'no_bucket' }) : failed(error.row.status, 10001, error.message)
    } finally {
      // What nobody has read would stand in front of the connection's next request.
      request.body?.resume()
    }
  }

  async function answer(bucket: Bucket, asked: Asked, signal: AbortSignal): Promise<Answer> {
    const { request } = asked
    if ('ssec' in request && request.ssec !== undefined)
      return refused({
        trouble: 'bad_argument',
        detail: 'Rimward does not encrypt objects with a key of yours (ssecKey).',
      })
    switch (request.method) {
      case 'head': {
        const found = await bucket.head(request.object)
        return isTroubled(found) ? refused(found) : json(writeObject(found.object))
      }
      case 'get':
        return get(bucket, request, signal)
      case 'list': {
        const page = await bucket.list(toListWish(request))
        return isTroubled(page) ? refused(page) : json(writePage(page))
      }
      case 'delete':
        return remove(bucket, 'object' in request ? [request.object] : request.objects)
      case 'put': {
        const digests = toPutDigests(request)
        const onlyIf = toPreconditions(request.onlyIf)
        const wish = { ...toFacts(request), bytes: asked.bytes, digests, ...(onlyIf && { onlyIf }) }
        const put = await bucket.put(wish, await small(asked, limits.bucketInlineBytes), signal)
        return isTroubled(put) ? refused(put) : json(writeObject(put.object))
      }
      case 'createMultipartUpload':
        return plain(await bucket.createUpload(toFacts(request)))
      case 'uploadPart': {
        const { object: key, uploadId, partNumber: number } = request
        return plain(await bucket.putPart({ key, uploadId, number, bytes: asked.bytes }, asked.body, signal))
      }
      case 'completeMultipartUpload': {
        if (request.parts.length > limits.bucketParts) return refused({ trouble: 'bad_part' })
        const parts = request.parts.map(({ part: number, etag }) => ({ number, etag }))
        const done = await bucket.completeUpload(request.object, request.uploadId, parts)
        return isTroubled(done) ? refused(done) : json(writeObject(done.object))
      }
      case 'abortMultipartUpload':
        return plain(await bucket.abortUpload(request.object, request.uploadId))
    }
  }

  async function remove(bucket: Bucket, keys: readonly string[]): Promise<Answer> {
    if (keys.length > limits.bucketDeleteKeys)
      return refused({
        trouble: 'bad_argument',
        detail: `delete takes at most ${limits.bucketDeleteKeys} keys, not ${keys.length}.`,
      })
    const done = await bucket.delete(keys)
    if (isTroubled(done)) return refused(done)
    return done.locked.length > 0 ? refused({ trouble: 'locked' }) : plain({})
  }
}

async function get(
  bucket: Bucket,
  request: Extract<BucketRequest, { method: 'get' }>,
  signal: AbortSignal,
): Promise<Answer> {
  const onlyIf = toPreconditions(request.onlyIf)
  const range = toRangeWish(request)
  const found = await bucket.get(request.object, { ...(onlyIf && { onlyIf }), ...(range && { range }) }, signal)
  if (isTroubled(found)) return refused(found)
  const { object, range: sent, body } = found
  const metadata = Buffer.from(JSON.stringify(writeObject(object, sent)))
  const headers = headersOf(metadata.length, metadata.length + sent.length)
  if (body === null || body instanceof Uint8Array)
    return { status: 200, headers, body: Buffer.concat(body === null ? [metadata] : [metadata, body]) }
  body.unshift(metadata)
  return { status: 200, headers, body }
}

/** Small bodies at once: a stream costs more than the bytes. */
async function small({ bytes, body }: Asked, limit: number): Promise<Uint8Array | Readable | null> {
  if (body === null || bytes > limit) return body
  return bytes === 0 ? new Uint8Array() : readExactly(body, bytes)
}

function readHead({ headers }: BackplaneRequest): Asked | Troubled {
  const field = headerValue(headers, 'cf-r2-request')
  const request = readBucketRequest(Buffer.from(field ?? '', 'latin1').toString())
  return typeof request === 'string' ? { trouble: 'bad_argument', detail: request } : { request, bytes: 0, body: null }
}

async function readBody({ headers, body }: BackplaneRequest, most: number): Promise<Asked | Troubled> {
  const size = Number(headerValue(headers, 'cf-r2-metadata-size'))
  const length = Number(headerValue(headers, 'content-length'))
  if (body === null || !Number.isInteger(size) || !Number.isInteger(length) || size > length || size > most) {
    body?.resume()
    return { trouble: 'bad_argument', detail: 'Metadata missing or invalid' }
  }
  const request = readBucketRequest((await readExactly(body, size)).toString())
  if (typeof request !== 'string') return { request, bytes: length - size, body }
  body.resume()
  return { trouble: 'bad_argument', detail: request }
}

/**
 * The next bytes of a stream, which stays usable. Rejects with `client_gone` where it ends before. Takes what there is and
 * waits with nothing left unread: a stream that holds something says at once, and for ever, that it can be read.
 */
export async function readExactly(stream: Readable, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  while (length < bytes) {
    const chunk = stream.read() as Buffer | null
    if (chunk !== null) {
      chunks.push(chunk)
      length += chunk.length
    } else await untilReadable(stream)
  }
  const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
  if (length > bytes) stream.unshift(all.subarray(bytes))
  return all.subarray(0, bytes)
}

async function untilReadable(stream: Readable): Promise<void> {
  const gone = (cause?: unknown) =>
    new EdgeError('client_gone', 'The program ended before it had sent what it announced.', { cause })
  if (stream.readableEnded || stream.destroyed) throw gone()
  const ended = new AbortController()
  const { signal } = ended
  try {
    await Promise.race(['readable', 'end', 'close'].map((event) => once(stream, event, { signal })))
  } catch (cause) {
    throw gone(cause)
  } finally {
    ended.abort()
  }
}

const headersOf = (metadata: number, length: number): HeaderList => [
  'cf-r2-metadata-size',
  String(metadata),
  'content-type',
  'application/json',
  'content-length',
  String(length),
]

function json(value: object): Answer {
  const body = Buffer.from(JSON.stringify(value))
  return { status: 200, headers: headersOf(body.length, body.length), body }
}

const plain = (answer: object): Answer => (isTroubled(answer) ? refused(answer) : json(answer))

function refused({ trouble, detail, object }: Troubled): Answer {
  const [status, number, , sentence] = bucketTroubles[trouble]
  if (object === undefined || trouble !== 'unmet') return failed(status, number, detail ?? sentence)
  const body = Buffer.from(JSON.stringify(writeObject(object)))
  const headers = [...headersOf(body.length, body.length), 'cf-r2-error', errorText(number, sentence)]
  return { status, headers, body }
}

function failed(status: number, number: number, message: string): Answer {
  return { status, headers: ['content-length', '0', 'cf-r2-error', errorText(number, message)], body: null }
}

/** Header values are bytes: what is not ASCII travels as JSON escapes. */
function errorText(v4code: number, message: string): string {
  const text = JSON.stringify({ version: 1, v4code, message })
  return text.replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
