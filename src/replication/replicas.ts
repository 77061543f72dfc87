/**
 * Data that is written at any node, also while it is cut off, read from the node's own disk, and merged everywhere
 * (docs/decisions/0024-replication.md).
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { OpenGroupCommit } from '#/core/group-commit.ts'
import type { Limits } from '#/core/limits.ts'
import { createListeners } from '#/core/listeners.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { Within } from '#/core/pops.ts'
import type { Blobs, Bucket } from '#/core/ports.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import type { Clock, Milliseconds } from '#/core/units.ts'
import { createAdmit } from './admit.ts'
import { createReplicatedBucket, type EntryReader } from './bucket.ts'
import { blobTopic, createBlobFetcher } from './fetch-blobs.ts'
import { createLinks, greetTopic, type Links, type PeerStatus } from './links.ts'
import { createPlatformClock } from './platform-clock.ts'
import { createPuller, pullTopic } from './pull.ts'
import { createPusher, createPushHandler, pushTopic } from './push.ts'
import { openRowReader } from './read-rows.ts'
import { type HeldBucket, heldBuckets, type Rechecked, recheckBuckets, waitUntilHeldInside } from './residency.ts'
import { createSeen } from './seen.ts'
import type { BucketChange, Store } from './store.ts'
import type { Answer, Operation, RowsData } from './write-rows.ts'

export interface ReplicasOptions {
  /** Made where it is missing; in a folder that its caller claimed. */
  readonly folder: string
  readonly mesh: Mesh
  /** The node's own, and for nothing but what these buckets name: `sweepBlobs` removes the rest. */
  readonly blobs: Blobs
  readonly clock: Clock
  /** Milliseconds that never go back. */
  readonly monotonic: () => Milliseconds
  readonly limits: Limits
  readonly log: (message: string, facts?: object) => void
  /** The countries that may hold a bucket; absent: anywhere. */
  readonly withinOf: (bucket: string) => Within | undefined
  /** `withinOf` does not know yet: nothing is moved before `recheck` is called. */
  readonly placedLater?: boolean
  /** The blob that a value names. */
  readonly blobOf: (bucket: string, value: Uint8Array) => BlobHash | undefined
  /** From `fabric/sqlite/group-commit.ts` and `reader.ts`. */
  readonly openGroupCommit: OpenGroupCommit
  readonly openReader: (file: string) => EntryReader
}

export interface ReplicasStatus {
  readonly ready: boolean
  /** Added to this node's own clock, by what most nodes say. */
  readonly clockCorrectionMs: Milliseconds
  readonly peers: readonly PeerStatus[]
}

export interface Replicas {
  /** Throws `not_here` where this node may not hold it. */
  bucket(name: string): Bucket
  /** The node's own; what is missing is fetched from a peer that has it. */
  readonly blobs: Blobs
  /** Removes blobs that no row names any more and that are older than `blobGraceMs`. Returns how many. */
  sweepBlobs(): Promise<number>
  status(): ReplicasStatus
  /** Resolves when this node has had what each reachable peer had when it was reached; at once where there is none. */
  caughtUp(): Promise<void>
  /**
   * To be called after `withinOf` changed. Resolves when this node holds only what it may, and what nobody inside has yet:
   * that is kept, unused, and goes when a node inside has taken it.
   */
  recheck(): Promise<Rechecked>
  held(): AsyncIterable<HeldBucket>
  close(): Promise<void>
}

/** Rejects when the file cannot be opened. */
export async function openReplicas(options: ReplicasOptions): Promise<Replicas> {
  const { folder, mesh, blobs, monotonic, limits, log } = options
  await mkdir(folder, { recursive: true })
  const file = join(folder, 'replicas.db')
  const clock = createPlatformClock({ clock: options.clock, monotonic, tolerance: limits.replicationSkewMs })
  const data: RowsData = {
    file,
    node: mesh.self.node,
    limitBytes: limits.replicationBytes,
    tombstoneMs: limits.replicationTombstoneMs,
  }
  const writer = await options.openGroupCommit<Operation, Answer>({
    module: new URL('./write-rows.ts', import.meta.url),
    data,
    name: 'replicas',
    sizeOf,
    clock: clock.now,
    limits,
  })
  const reader = openRowReader(file)
  const entries = options.openReader(file)
  const watchers = createListeners<BucketChange>((error) => log('a watcher of the replicas failed', { err: error }))
  const seen = createSeen(reader.vector())
  const { withinOf, blobOf } = options
  const store: Store = { mesh, writer, reader, seen, clock, watchers, limits, log, withinOf, blobOf }
  const replicas = assemble(store, { entries, blobs, monotonic })
  if (!options.placedLater) await replicas.recheck()
  return replicas
}

function assemble(
  store: Store,
  { entries, blobs, monotonic }: Pick<ReplicasOptions, 'blobs' | 'monotonic'> & { readonly entries: EntryReader },
): Replicas {
  const { mesh, writer, reader, clock } = store
  const fetcher = createBlobFetcher(store, blobs)
  const admit = createAdmit(store, fetcher)
  let links: Links | undefined
  const puller = createPuller(store, admit, () => links!)
  links = createLinks({ store, monotonic, catchUp: puller.want })
  const pusher = createPusher(store, links)
  const ends = [
    mesh.serve(greetTopic, links.serve),
    mesh.serve(pushTopic, createPushHandler(store, admit, puller.want)),
    mesh.serve(pullTopic, puller.serve),
    mesh.serve(blobTopic, fetcher.serve),
  ]
  const rechecks = createRechecks(store, blobs, links)
  let closing: Promise<void> | undefined

  async function close(): Promise<void> {
    rechecks.close()
    for (const end of ends) end()
    links!.close()
    await puller.close()
    await writer.close()
    pusher.close()
    reader.close()
    entries.close()
  }

  return {
    bucket: (name) => createReplicatedBucket(name, { store, entries, written: pusher.add }),
    blobs: readThrough(blobs, fetcher.fetch),
    sweepBlobs: () => sweepBlobs(store, blobs),
    status: () => ({ ready: links.isReady(), clockCorrectionMs: clock.correction(), peers: links.status() }),
    caughtUp: links.whenReady,
    recheck: rechecks.recheck,
    held: () => heldBuckets(store),
    close() {
      closing ??= close()
      return closing
    },
  }
}

/** One look at a time, or two would move a bucket to and fro. What has to be kept for now is looked at again with each beat. */
function createRechecks(store: Store, blobs: Blobs, links: Links) {
  const { limits, log } = store
  let kept: readonly string[] = []
  let line: Promise<unknown> = Promise.resolve()
  let again: NodeJS.Timeout | undefined
  let isClosed = false

  async function look(): Promise<Rechecked> {
    clearTimeout(again)
    const found = await recheckBuckets(store, blobs, (bucket) => waitUntilHeldInside(store, links, bucket))
    for (const bucket of found.kept)
      if (!kept.includes(bucket)) log('a bucket stays outside its countries: no node inside has all of it', { bucket })
    kept = found.kept
    if (kept.length > 0 && !isClosed) again = setTimeout(recheckAgain, limits.replicationBeatMs)
    return found
  }
  function recheck(): Promise<Rechecked> {
    const looked = line.then(look)
    line = looked.catch(() => {})
    return looked
  }
  function recheckAgain(): void {
    recheck().catch((error) => isClosed || log('a bucket outside its countries was not looked at', { err: error }))
  }
  return {
    recheck,
    close() {
      isClosed = true
      clearTimeout(again)
    },
  }
}

async function sweepBlobs({ reader, clock, limits }: Store, blobs: Blobs): Promise<number> {
  const storedBefore = clock.own() - limits.blobGraceMs
  let removed = 0
  for await (const { hash, storedAt } of blobs.list()) {
    if (storedAt >= storedBefore || reader.bucketsOfBlob(hash).length > 0) continue
    await blobs.delete(hash, { storedBefore })
    removed += 1
  }
  return removed
}

/** Bytes that wait with an operation. */
function sizeOf(operation: Operation): number {
  if (operation.kind === 'put') return operation.value?.byteLength ?? 0
  if (operation.kind !== 'merge') return 0
  return operation.rows.reduce((sum, row) => sum + (row.value?.byteLength ?? 0), 0)
}

function readThrough(blobs: Blobs, fetch: (hash: BlobHash) => Promise<boolean>): Blobs {
  return {
    ...blobs,
    async get(hash) {
      return (await blobs.get(hash)) ?? ((await fetch(hash)) ? blobs.get(hash) : undefined)
    },
    async stream(hash, range) {
      return (await blobs.stream(hash, range)) ?? ((await fetch(hash)) ? blobs.stream(hash, range) : undefined)
    },
  }
}
