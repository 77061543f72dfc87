/** A fabric in memory for the tests of this folder: buckets with compare-and-set and watch, and leases. */
import type { Bucket, Change, Entry, Fabric, Seal } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'

export function createMemoryFabric(clock: Clock): Fabric {
  const buckets = new Map<string, Bucket>()
  const leases = new Map<string, { until: number; epoch: number }>()
  return {
    bucket(name) {
      const found = buckets.get(name) ?? createBucket(clock)
      buckets.set(name, found)
      return found
    },
    get blobs(): never {
      throw new Error('no blobs here')
    },
    publish() {},
    subscribe: () => () => {},
    async lease(name, ttl) {
      const held = leases.get(name)
      if (held !== undefined && held.until > clock()) return undefined
      const mine = { until: clock() + ttl, epoch: (held?.epoch ?? 0) + 1 }
      leases.set(name, mine)
      return {
        epoch: mine.epoch,
        async renew() {
          if (leases.get(name) !== mine) return false
          mine.until = clock() + ttl
          return true
        },
        async release() {
          mine.until = 0
        },
      }
    },
    state: 'here',
    onState: () => () => {},
    async close() {},
  }
}

function createBucket(clock: Clock): Bucket {
  const entries = new Map<string, Entry>()
  const watchers = new Set<(change: Change) => void>()
  let revision = 0
  const live = (key: string) => {
    const entry = entries.get(key)
    return entry?.expiresAt !== undefined && entry.expiresAt <= clock() ? undefined : entry
  }
  const tell = (change: Change) => {
    for (const watcher of watchers) watcher(change)
  }
  return {
    get: async (key) => live(key),
    async put(key, value, options = {}) {
      if (options.expect !== undefined && (live(key)?.revision ?? 0) !== options.expect) return undefined
      const expiry = options.expiresAt === undefined ? {} : { expiresAt: options.expiresAt }
      const entry = { key, value, revision: ++revision, ...expiry }
      entries.set(key, entry)
      tell({ kind: 'put', entry })
      return entry.revision
    },
    async delete(key) {
      const there = live(key) !== undefined
      entries.delete(key)
      if (there) tell({ kind: 'delete', key })
      return there
    },
    list: async ({ prefix = '', after = '', limit }) =>
      [...entries.keys()]
        .filter((key) => key.startsWith(prefix) && key > after && live(key) !== undefined)
        .sort()
        .slice(0, limit)
        .map((key) => live(key)!),
    watch(prefix, listener) {
      const watcher = (change: Change) => {
        const key = change.kind === 'put' ? change.entry.key : change.key
        if (key.startsWith(prefix)) listener(change)
      }
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
  }
}

/** Turns the text round, so that a test sees when something was not sealed. */
export const turningSeal: Seal = {
  seal: (plaintext) => Buffer.from(plaintext).reverse().toString('base64'),
  open: (sealed) => Buffer.from(sealed, 'base64').reverse().toString(),
}
