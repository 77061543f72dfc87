/** Removes blobs that no record names any more: versions beyond the cap, deleted programs, uploads that were refused. */
import type { Within } from '#/core/pops.ts'
import type { Blobs } from '#/core/ports.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import type { EpochMs, Milliseconds } from '#/core/units.ts'

interface Sweep {
  readonly blobs: Blobs
  /** Everything that some record names: modules, assets, large values. Read in full before anything is removed. */
  readonly inUse: () => AsyncIterable<BlobHash>
  readonly now: EpochMs
  /** Younger blobs stay: their upload may not have written its record yet. */
  readonly grace: Milliseconds
  readonly pins: Pins
  /** Countries that blobs may be kept to; those that this process may not look into are left out. */
  readonly placed: readonly Within[]
}

/**
 * Candidates are listed first and references read afterwards, so that a blob which is named meanwhile is kept. Throws,
 * and removes nothing, when the references cannot all be read.
 */
export async function sweepBlobs({
  blobs,
  inUse,
  now,
  grace,
  pins,
  placed,
}: Sweep): Promise<{ removed: number; bytes: number }> {
  const candidates = new Map<BlobHash, number>()
  for await (const { hash, bytes, storedAt } of blobs.list(placed))
    if (now - storedAt >= grace) candidates.set(hash, bytes)
  for await (const hash of inUse()) candidates.delete(hash)
  let removed = 0
  let bytes = 0
  for (const [hash, size] of candidates) {
    if (!(await pins.unlessPinned(hash, () => blobs.delete(hash, { storedBefore: now - grace + 1 })))) continue
    removed += 1
    bytes += size
  }
  return { removed, bytes }
}

/**
 * Blobs of uploads in flight. An upload pins what it stored, then asks with `stillThere` before it writes its record:
 * a sweep either sees the pin, or its removal is over before the question is answered.
 */
export interface Pins {
  /** Returns the release. */
  pin(hash: BlobHash): () => void
  /** Runs `remove` unless the blob is pinned; says whether it ran. */
  unlessPinned(hash: BlobHash, remove: () => Promise<void>): Promise<boolean>
  stillThere(blobs: Blobs, hash: BlobHash): Promise<boolean>
}

export function createPins(): Pins {
  const counts = new Map<BlobHash, number>()
  let removing: Promise<void> = Promise.resolve()
  return {
    pin(hash) {
      counts.set(hash, (counts.get(hash) ?? 0) + 1)
      return () => {
        const left = counts.get(hash)! - 1
        if (left === 0) counts.delete(hash)
        else counts.set(hash, left)
      }
    },
    async unlessPinned(hash, remove) {
      if (counts.has(hash)) return false
      removing = remove()
      await removing
      return true
    },
    async stillThere(blobs, hash) {
      await removing.catch(() => {})
      return blobs.has(hash)
    },
  }
}
