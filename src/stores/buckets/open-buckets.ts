/**
 * Buckets of this node, each in a folder of its own: `ID/index.db` says what there is, `ID/bodies` holds what is too large
 * for it (docs/decisions/0029-r2.md).
 */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { type BucketSettings, usualBucketSettings, usualLifecycle } from '#/core/bucket-settings.ts'
import type { ObjectFacts, PutWish, UploadedPart } from '#/core/buckets.ts'
import { EdgeError } from '#/core/errors.ts'
import type { HomedStore } from '#/core/homed-store.ts'
import type { StoreAnswer, StoreCall } from '#/core/homed-stores.ts'
import type { Clock } from '#/core/units.ts'
import { applyLifecycle } from './apply-lifecycle.ts'
import { type IndexLimits, startIndexThread } from './ask-index.ts'
import { type BucketLimits, type OpenedBucket, openBucket, refuseFacts } from './open-bucket.ts'
import type { ReadOperation } from './read-index.ts'
import { createQueueTeller, type Notify, type QueueTeller } from './tell-queues.ts'

export interface BucketsOptions {
  /** Of all buckets of this node. */
  readonly folder: string
  readonly limits: IndexLimits &
    BucketLimits & {
      readonly bucketUploadMs: number
      readonly bucketSweepMs: number
      readonly bucketNoticeRetryMs: number
    }
  readonly clock: Clock
  /** Of the bucket's resource, `undefined` while it is not known yet; absent: nothing is asked of any. */
  readonly settings?: (id: string) => BucketSettings | undefined
  /** Absent: no queue is told. */
  readonly notify?: Notify
  readonly log: (message: string, facts?: object) => void
}

export interface Buckets extends HomedStore {
  /** Removes what a process that died left behind, and uploads that nobody finished in time. Never rejects. */
  sweep(): Promise<void>
}

/** Sweeps once it is open, and now and then from then on. */
export async function openBuckets(options: BucketsOptions): Promise<Buckets> {
  const { folder, limits, clock, log, settings = () => usualBucketSettings, notify = async () => {} } = options
  await mkdir(folder, { recursive: true, mode: 0o700 })
  // The writer makes the databases that the reader opens.
  const writes = await startIndexThread('write', { folder, limits, clock })
  const reads = await startIndexThread('read', { folder, limits, clock })
  const opened = new Map<string, Promise<OpenedBucket>>()
  const tellers = new Map<string, QueueTeller>()
  const report = (message: string, error: unknown) => log(message, { err: error })

  function bucket(id: string): Promise<OpenedBucket> {
    if (!/^[A-Za-z0-9-]{1,64}$/.test(id)) throw new EdgeError('store_unknown', 'That is no name of a bucket.')
    const known = opened.get(id)
    if (known !== undefined) return known
    const opening = openBucket({
      ...{ id, folder: join(folder, id), reads, writes, limits, report },
      policy: () => settings(id) ?? usualBucketSettings,
      noticed: () => tellers.get(id)?.wake(),
    }).then((one) => {
      const parts = { id, bucket: one, notify, retryMs: limits.bucketNoticeRetryMs, report }
      tellers.set(id, createQueueTeller(parts))
      return one
    })
    opened.set(id, opening)
    opening.catch(() => opened.delete(id))
    return opening
  }

  const held = async () =>
    (await readdir(folder, { withFileTypes: true })).flatMap((one) => (one.isDirectory() ? [one.name] : []))

  async function sweep(): Promise<void> {
    for (const id of await held()) {
      if (isClosed) return
      const one = await bucket(id)
      const removed = await one.sweep()
      if (removed > 0) log('bodies that no object has were removed', { bucket: id, removed })
      const wished = settings(id)
      if (wished === undefined) continue
      const now = clock()
      const rules = wished.lifecycle ?? usualLifecycle(limits.bucketUploadMs)
      const { expired, demoted } = await applyLifecycle(one, rules, now, () => isClosed)
      if (expired + demoted > 0) log('objects have reached their lifecycle rules', { bucket: id, expired, demoted })
      await one.write({ do: 'forget-uploads', before: now - limits.bucketUploadMs })
      tellers.get(id)?.wake()
    }
  }
  let isClosed = false
  let isFollowed = false
  const swept = () => sweep().catch((error: unknown) => isClosed || report('buckets were not swept', error))
  let sweeping: Promise<unknown> = swept()
  const timer = setInterval(() => {
    sweeping = sweeping.then(swept)
  }, limits.bucketSweepMs)
  timer.unref()

  return {
    kind: 'bucket',
    handler: async (call) => answer(await bucket(call.id), call, limits),
    held,
    /** The first Snapshot tells what owners ask for. */
    async follow() {
      if (isFollowed) return
      isFollowed = true
      sweeping = sweeping.then(swept)
    },
    async sweep() {
      sweeping = sweeping.then(swept)
      await sweeping
    },
    async erase(id) {
      const known = await opened.get(id)?.catch(() => undefined)
      opened.delete(id)
      await tellers.get(id)?.close()
      tellers.delete(id)
      await Promise.all([writes.ask(id, { do: 'let-go' }), reads.ask(id, { do: 'let-go' }), known?.settled()])
      await rm(join(folder, id), { recursive: true, force: true })
    },
    async close() {
      isClosed = true
      clearInterval(timer)
      await sweeping
      await Promise.all([...tellers.values()].map((one) => one.close()))
      await Promise.all([...opened.values()].map(async (one) => (await one.catch(() => undefined))?.settled()))
      await Promise.all([writes.close(), reads.close()])
    },
  }
}

async function answer(bucket: OpenedBucket, call: StoreCall, limits: BucketLimits): Promise<StoreAnswer> {
  const { operation, body = null } = call
  const head = (call.head ?? {}) as never
  const small = async (work: Promise<object>) => ({ head: (await work) as StoreAnswer['head'], body: null })
  switch (operation) {
    case 'head':
    case 'list-parts':
    case 'sums':
      return small(bucket.read({ do: operation, ...(head as object) } as ReadOperation))
    case 'list':
    case 'list-uploads':
      return large(await bucket.read({ do: operation, ...(head as object) } as ReadOperation))
    case 'get':
      return (await bucket.get({ do: 'get', ...(head as object) } as Extract<
        ReadOperation,
        { do: 'get' }
      >)) as StoreAnswer
    case 'put':
      return small(bucket.put(head as PutWish, body))
    case 'put-part':
      return small(bucket.putPart(head, body))
    case 'delete':
      return large(await bucket.write({ do: 'delete', keys: (await readJson(body)) as string[] }))
    case 'create-upload': {
      const facts = head as ObjectFacts
      return small(Promise.resolve(refuseFacts(facts, limits) ?? bucket.write({ do: 'create-upload', facts })))
    }
    case 'complete-upload': {
      const parts = (await readJson(body)) as UploadedPart[]
      return small(bucket.write({ do: 'complete-upload', ...(head as { key: string; uploadId: string }), parts }))
    }
    case 'abort-upload':
      return small(bucket.write({ do: 'abort-upload', ...(head as { key: string; uploadId: string }) }))
    case 'close':
      return small(bucket.write({ do: 'close', ...(head as { open: boolean }) }))
    default:
      throw new EdgeError('internal', `Buckets know no operation ${operation}.`)
  }
}

/** Longer than a head may be. */
const large = (value: object): StoreAnswer => ({ head: {}, body: Buffer.from(JSON.stringify(value)) })

async function readJson(body: Uint8Array | Readable | null): Promise<unknown> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body === null ? [] : body instanceof Uint8Array ? [body] : body)
    chunks.push(chunk as Uint8Array)
  return JSON.parse(Buffer.concat(chunks).toString())
}
