/** A `Fabric` in memory, for the tests of rooms that are handed one. Nothing is kept, nothing is bounded. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Blobs, Bucket, Change, Entry, Fabric } from './ports.ts'
import type { Clock, EpochMs } from './units.ts'

function createMemoryBlobs(clock: Clock): Blobs {
  const blobs = new Map<string, { readonly bytes: Buffer; readonly storedAt: EpochMs }>()
  return {
    async put(source) {
      const parts: Uint8Array[] = []
      if (source instanceof Uint8Array) parts.push(source)
      else for await (const part of source) parts.push(part)
      const bytes = Buffer.concat(parts)
      const hash = createHash('sha256').update(bytes).digest('hex')
      blobs.set(hash, { bytes, storedAt: clock() })
      return { hash, bytes: bytes.length }
    },
    get: async (hash) => blobs.get(hash)?.bytes,
    async stream(hash, range) {
      const bytes = blobs.get(hash)?.bytes
      if (bytes === undefined) return undefined
      return Readable.from([range === undefined ? bytes : bytes.subarray(range.start, range.end + 1)])
    },
    has: async (hash) => blobs.has(hash),
    async *list() {
      for (const [hash, { bytes, storedAt }] of blobs) yield { hash, bytes: bytes.length, storedAt }
    },
    async delete(hash) {
      blobs.delete(hash)
    },
  }
}

function createMemoryBucket(clock: Clock): Bucket {
  const entries = new Map<string, Entry>()
  const watchers = new Set<{ readonly prefix: string; readonly listener: (change: Change) => void }>()
  let revision = 0
  function live(key: string): Entry | undefined {
    const entry = entries.get(key)
    return entry?.expiresAt !== undefined && entry.expiresAt <= clock() ? undefined : entry
  }
  function tell(key: string, change: Change): void {
    for (const { prefix, listener } of watchers) if (key.startsWith(prefix)) queueMicrotask(() => listener(change))
  }
  return {
    get: async (key) => live(key),
    async put(key, value, options) {
      if (options?.expect !== undefined && (live(key)?.revision ?? 0) !== options.expect) return undefined
      revision++
      const expiry = options?.expiresAt === undefined ? {} : { expiresAt: options.expiresAt }
      const entry = { key, value, revision, ...expiry }
      entries.set(key, entry)
      tell(key, { kind: 'put', entry })
      return revision
    },
    async delete(key, options) {
      const entry = live(key)
      if (entry === undefined || (options?.expect !== undefined && entry.revision !== options.expect)) return false
      entries.delete(key)
      tell(key, { kind: 'delete', key })
      return true
    },
    async list({ prefix = '', after, limit }) {
      const keys = [...entries.keys()].filter((key) => key.startsWith(prefix) && (after === undefined || key > after))
      return keys
        .sort()
        .flatMap((key) => live(key) ?? [])
        .slice(0, limit)
    },
    watch(prefix, listener) {
      const watcher = { prefix, listener }
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
  }
}

/** Several users of the same object are several points of presence of one platform. */
export function createMemoryFabric(clock: Clock): Fabric {
  const buckets = new Map<string, Bucket>()
  const topics = new Map<string, Set<(message: Uint8Array) => void>>()
  return {
    bucket(name) {
      const bucket = buckets.get(name) ?? createMemoryBucket(clock)
      buckets.set(name, bucket)
      return bucket
    },
    blobs: createMemoryBlobs(clock),
    publish(topic, message) {
      for (const listener of topics.get(topic) ?? []) queueMicrotask(() => listener(message))
    },
    subscribe(topic, listener) {
      const listeners = topics.get(topic) ?? new Set()
      topics.set(topic, listeners.add(listener))
      return () => listeners.delete(listener)
    },
    lease: async () => ({ epoch: 1, renew: async () => true, release: async () => {} }),
    state: 'here',
    onState: () => () => {},
    close: async () => {},
  }
}
