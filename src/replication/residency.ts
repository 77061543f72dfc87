/** What follows from a change of the countries that may hold a bucket; and what lies here. */
import type { Peer } from '#/core/pops.ts'
import type { Blobs } from '#/core/ports.ts'
import type { Links } from './links.ts'
import type { Scope } from './operation.ts'
import { isHere, type Store, scopeNow } from './store.ts'
import { mayHold } from './vector.ts'

/** Of one bucket on this node's disk. */
export interface HeldBucket {
  readonly bucket: string
  /** Absent: anywhere. */
  readonly within?: readonly string[]
  readonly keys: number
  /** Deleted or expired keys whose names are still remembered. */
  readonly tombstones: number
  /** Keys and values; blobs apart. */
  readonly bytes: number
}

const rowsAtOnce = 500

export interface Rechecked {
  readonly moved: readonly string[]
  readonly removed: readonly string[]
  /** May not lie here, and nobody in reach who may hold it has all of it. */
  readonly kept: readonly string[]
}

/**
 * Moves buckets whose countries changed into the order of operations that their new countries share, or removes them where
 * they may no longer lie, once `isHeldInside` says that nothing is lost with them. Resolves when that is on disk.
 */
export async function recheckBuckets(
  store: Store,
  blobs: Blobs,
  isHeldInside: (bucket: string) => Promise<boolean>,
): Promise<Rechecked> {
  const { reader } = store
  const moved: string[] = []
  const removed: string[] = []
  const kept: string[] = []
  for (const [bucket, scope] of reader.buckets()) {
    const now = scopeNow(store, bucket)
    if (isHere(store, bucket)) {
      if (now === scope) continue
      await move(store, bucket, now)
      moved.push(bucket)
    } else if ((await isHeldInside(bucket)) || (await offer(store, bucket, now, isHeldInside))) {
      await remove(store, blobs, bucket)
      removed.push(bucket)
    } else kept.push(bucket)
  }
  return { moved, removed, kept }
}

/**
 * What lies here becomes operations of this node that nodes inside ask for, also those that could not have the old ones. Moved
 * back later it becomes new ones, for those outside that counted it as seen meanwhile.
 */
async function offer(
  store: Store,
  bucket: string,
  scope: Scope,
  isHeldInside: (bucket: string) => Promise<boolean>,
): Promise<boolean> {
  await move(store, bucket, scope)
  return isHeldInside(bucket)
}

async function move(store: Store, bucket: string, scope: Scope): Promise<void> {
  const { reader, writer, seen } = store
  for (;;) {
    const { count } = await writer.submit({ kind: 'move', bucket, scope, limit: rowsAtOnce })
    if (count < rowsAtOnce) break
  }
  seen.raise(reader.vector())
}

async function remove(store: Store, blobs: Blobs, bucket: string): Promise<void> {
  const { reader, writer } = store
  const named = reader.blobsOf(bucket)
  // Nothing more goes once it may lie here again.
  while (!isHere(store, bucket)) {
    const { count } = await writer.submit({ kind: 'remove', bucket, limit: rowsAtOnce })
    if (count < rowsAtOnce) break
  }
  for (const hash of named) if (reader.bucketsOfBlob(hash).length === 0) await blobs.delete(hash)
}

/**
 * Waits until a peer that may hold the bucket has every write of it that is here, `replicationHandOverMs` at most; not at all
 * while no such peer is in reach, and no longer once its countries change again. The bucket takes no writes here any more.
 */
export async function waitUntilHeldInside(store: Store, links: Links, bucket: string): Promise<boolean> {
  const { reader, writer, limits } = store
  const scope = scopeNow(store, bucket)
  // Behind the writes that were accepted before the bucket left.
  await writer.submit({ kind: 'note' })
  const last = reader.lastOf(bucket)
  if (last.length === 0) return scopeNow(store, bucket) === scope
  const isInside = ({ country }: Peer) => [scope, ...last.map(([of]) => of)].every((one) => mayHold(one, country))
  const end = performance.now() + limits.replicationHandOverMs
  for (;;) {
    if (scopeNow(store, bucket) !== scope) return false
    if (links.isSeen(last, isInside)) return true
    if (performance.now() > end || !links.linked().some(isInside)) return false
    await new Promise((resolve) => setTimeout(resolve, limits.replicationPushMs))
  }
}

/** Counts what lies on this node's disk, bucket by bucket, in steps that let others at the thread. */
export async function* heldBuckets({ reader }: Pick<Store, 'reader'>): AsyncIterable<HeldBucket> {
  for (const [bucket, scope] of reader.buckets()) {
    let keys = 0
    let tombstones = 0
    let bytes = 0
    for (let after = ''; ; ) {
      const page = reader.sizes(bucket, after, rowsAtOnce)
      for (const row of page) {
        if (row.dead) tombstones += 1
        else keys += 1
        bytes += row.bytes
      }
      if (page.length < rowsAtOnce) break
      after = page.at(-1)!.key
      await new Promise((resolve) => setImmediate(resolve))
    }
    yield { bucket, ...(scope !== '' && { within: scope.split(',') }), keys, tombstones, bytes }
  }
}
