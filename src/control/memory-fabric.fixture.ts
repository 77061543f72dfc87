/** A Fabric in memory, for tests of rooms that are handed one. Nothing lasts, everything else holds. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { placedBlobName } from '#/core/blob-names.ts'
import type { Blobs, Bucket, Change, Entry, Fabric } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'

export function createMemoryFabric(clock: Clock): Fabric {
  const buckets = new Map<string, Bucket>()
  return {
    bucket(name) {
      const found = buckets.get(name) ?? createMemoryBucket(clock)
      buckets.set(name, found)
      return found
    },
    blobs: createMemoryBlobs(clock),
    publish() {},
    subscribe: () => () => {},
    lease: async () => ({ epoch: 1, renew: async () => true, release: async () => {} }),
    state: 'here',
    onState: () => () => {},
    close: async () => {},
  }
}

function createMemoryBucket(clock: Clock): Bucket {
  const entries = new Map<string, Entry>()
  const watches = new Set<{ prefix: string; listener: (change: Change) => void }>()
  let last = 0
  const live = (key: string) => {
    const entry = entries.get(key)
    return entry?.expiresAt !== undefined && entry.expiresAt <= clock() ? undefined : entry
  }
  const tell = (key: string, change: Change) => {
    for (const { prefix, listener } of watches) if (key.startsWith(prefix)) listener(change)
  }
  return {
    get: async (key) => live(key),
    async put(key, value, { expect, expiresAt } = {}) {
      if (expect !== undefined && (live(key)?.revision ?? 0) !== expect) return undefined
      last += 1
      const entry = {
        key,
        value: Uint8Array.from(value),
        revision: last,
        ...(expiresAt !== undefined && { expiresAt }),
      }
      entries.set(key, entry)
      tell(key, { kind: 'put', entry })
      return last
    },
    async delete(key, { expect } = {}) {
      const entry = live(key)
      if (entry === undefined || (expect !== undefined && entry.revision !== expect)) return false
      entries.delete(key)
      tell(key, { kind: 'delete', key })
      return true
    },
    async list({ prefix = '', after = '', limit, keysOnly = false, valueBytes = Number.POSITIVE_INFINITY }) {
      return [...entries.keys()]
        .filter((key) => key.startsWith(prefix) && key > after && live(key) !== undefined)
        .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        .slice(0, limit)
        .map((key) => ({ ...entries.get(key)!, value: entries.get(key)!.value.slice(0, keysOnly ? 0 : valueBytes) }))
    },
    watch(prefix, listener) {
      const watch = { prefix, listener }
      watches.add(watch)
      return () => watches.delete(watch)
    },
  }
}

function createMemoryBlobs(clock: Clock): Blobs {
  const stored = new Map<string, { bytes: Uint8Array; storedAt: number }>()
  return {
    async put(source, { within } = {}) {
      const hash = createHash('sha256')
      const chunks: Uint8Array[] = []
      for await (const chunk of source instanceof Uint8Array ? [source] : source) {
        hash.update(chunk)
        chunks.push(Uint8Array.from(chunk))
      }
      const bytes = Buffer.concat(chunks)
      const digest = hash.digest('hex')
      const name = within === undefined ? digest : placedBlobName(digest, within)
      stored.set(name, { bytes, storedAt: clock() })
      return { hash: name, bytes: bytes.length }
    },
    get: async (hash) => stored.get(hash)?.bytes,
    async stream(hash, range) {
      const bytes = stored.get(hash)?.bytes
      return bytes && Readable.from([range === undefined ? bytes : bytes.subarray(range.start, range.end + 1)])
    },
    async has(hash) {
      const found = stored.get(hash)
      if (found !== undefined) found.storedAt = clock()
      return found !== undefined
    },
    async *list() {
      for (const [hash, { bytes, storedAt }] of stored) yield { hash, bytes: bytes.length, storedAt }
    },
    async delete(hash, { storedBefore = Number.POSITIVE_INFINITY } = {}) {
      if ((stored.get(hash)?.storedAt ?? 0) < storedBefore) stored.delete(hash)
    },
  }
}
