/** What follows from a change of the countries that may hold a bucket; and what lies here. */
import type { Blobs } from '#/core/ports.ts'
import { isHere, type Store, scopeNow } from './store.ts'

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

/**
 * Moves buckets whose countries changed into the order of operations that their new countries share, or removes them where
 * they may no longer lie. Resolves when that is on disk; says what was removed.
 */
export async function recheckBuckets(
  store: Store,
  blobs: Blobs,
): Promise<{ readonly moved: string[]; readonly removed: string[] }> {
  const { reader, writer } = store
  const moved: string[] = []
  const removed: string[] = []
  for (const [bucket, scope] of reader.buckets()) {
    const now = scopeNow(store, bucket)
    const here = isHere(store, bucket)
    if (here && now === scope) continue
    const named = here ? [] : reader.blobsOf(bucket)
    for (;;) {
      const { count } = await writer.submit(
        here ? { kind: 'move', bucket, scope: now, limit: rowsAtOnce } : { kind: 'remove', bucket, limit: rowsAtOnce },
      )
      if (count < rowsAtOnce) break
    }
    for (const hash of named) if (reader.bucketsOfBlob(hash).length === 0) await blobs.delete(hash)
    if (here) moved.push(bucket)
    else removed.push(bucket)
  }
  // Operations of this node that the moves made.
  store.seen.raise(reader.vector())
  return { moved, removed }
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
