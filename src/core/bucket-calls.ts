/** A bucket as calls to its home. Heads hold what is small; lists of keys and parts travel in bodies. */
import type { Readable } from 'node:stream'
import type { Bucket, BucketObject, ByteRange } from './buckets.ts'
import type { HomedStores, StoreCall } from './homed-stores.ts'
import type { MeshHead } from './mesh.ts'
import { bytesOf } from './store-body.ts'

type Body = Uint8Array | Readable | null

/** `id` is the resource's. */
export function bucketAt(homed: Pick<HomedStores, 'call'>, id: string): Bucket {
  const call = (operation: string, head: object, rest: Pick<StoreCall, 'body' | 'signal'> = {}) =>
    homed.call({ kind: 'bucket', id, operation, head: head as MeshHead, ...rest })

  /** Answers whose all is in the head, or, where it may be long, in the body. */
  async function ask<Answer>(operation: string, head: object, body?: Body, signal?: AbortSignal): Promise<Answer> {
    const answer = await call(operation, head, { ...(body !== undefined && { body }), ...(signal && { signal }) })
    if (answer.body === null) return answer.head as Answer
    const bytes = await bytesOf(answer.body)
    return (bytes.length === 0 ? answer.head : JSON.parse(bytes.toString())) as Answer
  }
  const json = (value: unknown) => Buffer.from(JSON.stringify(value))

  return {
    head: (key) => ask('head', { key }),
    async get(key, wish = {}, signal) {
      const answer = await call('get', { key, ...wish }, signal && { signal })
      const { head, body } = answer
      if ('trouble' in head) return drop(body, head as never)
      return { object: head.object as BucketObject, range: head.range as ByteRange, body }
    },
    put: (wish, body, signal) => ask('put', wish, body, signal),
    async delete(keys) {
      const answer = await ask<{ locked?: string[] }>('delete', {}, json(keys))
      return 'trouble' in answer ? (answer as never) : { locked: answer.locked ?? [] }
    },
    list: (wish) => ask('list', wish),
    createUpload: (facts) => ask('create-upload', facts),
    putPart: (part, body, signal) => ask('put-part', part, body, signal),
    completeUpload: (key, uploadId, parts) => ask('complete-upload', { key, uploadId }, json(parts)),
    abortUpload: (key, uploadId) => ask('abort-upload', { key, uploadId }),
    listParts: (key, uploadId) => ask('list-parts', { key, uploadId }),
    listUploads: (prefix) => ask('list-uploads', { prefix }),
    sums: () => ask('sums', {}),
    close: (how) => ask('close', how),
  }
}

function drop<Answer>(body: Body, answer: Answer): Answer {
  if (body !== null && 'resume' in body) body.resume()
  return answer
}
