/** A bucket of the replicas: written here, read here, told to others. */
import { checkEntry } from '#/core/check-entry.ts'
import type { Bucket, Entry, ListOptions } from '#/core/ports.ts'
import type { EpochMs } from '#/core/units.ts'
import type { Row } from './operation.ts'
import { refuseElsewhere, type Store, scopeNow, tellChange } from './store.ts'

/** The reads of `fabric/sqlite/reader.ts`, handed over: they find the view `entries` in our file too. */
export interface EntryReader {
  get(bucket: string, key: string, now: EpochMs): Entry | undefined
  list(bucket: string, options: ListOptions, now: EpochMs): Entry[]
  close(): void
}

export interface BucketParts {
  readonly store: Store
  readonly entries: EntryReader
  /** Hears of each write of this node that may be told, after it is on disk. */
  readonly written: (row: Row) => void
}

/** Throws `not_here` where the bucket may not lie; so does each use of it from then on. */
export function createReplicatedBucket(name: string, { store, entries, written }: BucketParts): Bucket {
  const { writer, reader, clock, limits, seen, watchers } = store
  refuseElsewhere(store, name)

  async function write(
    key: string,
    value: Uint8Array | undefined,
    { expect, expiresAt }: { readonly expect?: number | undefined; readonly expiresAt?: EpochMs | undefined },
  ): Promise<number> {
    refuseElsewhere(store, name)
    const scope = scopeNow(store, name)
    const blob = value && store.blobOf(name, value)
    const { count, stamp } = await writer.submit({
      kind: 'put',
      bucket: name,
      key,
      value,
      expect,
      expiresAt,
      blob,
      scope,
    })
    if (stamp === undefined) return 0
    const { time, seq, stands } = stamp
    const row: Row = {
      bucket: name,
      key,
      time,
      seq,
      writer: reader.origin,
      scope,
      origin: reader.origin,
      ...(value !== undefined && { value }),
      ...(expiresAt !== undefined && { expiresAt }),
      ...(blob !== undefined && { blob }),
    }
    // Commits are in order: with this one all before it are in the state.
    seen.add(scope, reader.origin, 1, seq)
    tellChange(store, row, count)
    // A stamp that may be put back is nobody's business yet: who is met in this moment asks for the row.
    if (stands) written(row)
    return count
  }

  return {
    async get(key) {
      refuseElsewhere(store, name)
      return entries.get(name, key, clock.now())
    },
    async list(options) {
      refuseElsewhere(store, name)
      return entries.list(name, options, clock.now())
    },
    async put(key, bytes, options = {}) {
      checkEntry(key, bytes, limits)
      // A copy: the caller may go on writing into its bytes, and only a view's own bytes should cross to the thread.
      const revision = await write(key, new Uint8Array(bytes), options)
      return revision === 0 ? undefined : revision
    },
    delete: async (key, options = {}) => (await write(key, undefined, options)) > 0,
    watch: (prefix, listener) => watchers.add(`${name}\0${prefix}`, ({ change }) => listener(change)),
  }
}
