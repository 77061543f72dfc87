/** The smallest `CacheStore`: all in memory, the least recently used goes first. A double for tests. */
import { Readable } from 'node:stream'
import type { Bytes } from '#/core/units.ts'
import type { BodyWriter, CacheStore, StoredAnswer, StoredHead } from './store.ts'

interface Held extends StoredAnswer {
  readonly body: Uint8Array
}

export interface SimpleStoreOptions {
  readonly limitBytes: Bytes
}

/** A whole answer stands for all parts of its variant; a part for the one that starts where it does. */
function replaces({ partial }: StoredHead, old: StoredHead): boolean {
  return partial === undefined || partial.start === old.partial?.start
}

/** Besides its body an entry weighs so much. */
const entryBytes = 1024

export function createSimpleStore({ limitBytes }: SimpleStoreOptions): CacheStore {
  const byKey = new Map<string, readonly Held[]>()
  let total = 0
  let entries = 0

  function hold(head: StoredHead, body: Uint8Array): Held {
    return {
      head,
      body,
      bodyBytes: body.length,
      bytes: () => body,
      stream(range) {
        return Readable.from([range === undefined ? body : body.subarray(range.start, range.end + 1)])
      },
    }
  }

  function put(held: Held): void {
    const others = (byKey.get(held.head.key) ?? []).filter((one) => {
      const replaced = one.head.variant === held.head.variant && replaces(held.head, one.head)
      if (replaced) forget(one)
      return !replaced
    })
    byKey.delete(held.head.key)
    byKey.set(held.head.key, [...others, held])
    total += held.body.length + entryBytes
    entries++
    for (const [key, list] of byKey) {
      if (total <= limitBytes) break
      for (const one of list) forget(one)
      byKey.delete(key)
    }
  }

  function forget(held: Held): void {
    total -= held.body.length + entryBytes
    entries--
  }

  function remove(stored: StoredAnswer): boolean {
    const list = byKey.get(stored.head.key)
    if (list === undefined || !list.includes(stored as Held)) return false
    forget(stored as Held)
    const rest = list.filter((one) => one !== stored)
    if (rest.length === 0) byKey.delete(stored.head.key)
    else byKey.set(stored.head.key, rest)
    return true
  }

  function open(head: StoredHead, expectedBytes: Bytes | undefined): BodyWriter | undefined {
    if ((expectedBytes ?? 0) + entryBytes > limitBytes) return undefined
    let parts: Uint8Array[] | undefined = []
    let bytes = entryBytes
    return {
      write(chunk) {
        if (parts === undefined) return false
        bytes += chunk.length
        if (bytes > limitBytes) parts = undefined
        parts?.push(chunk)
        return parts !== undefined
      },
      async finish() {
        if (parts === undefined) return undefined
        const held = hold(head, Buffer.concat(parts))
        put(held)
        return held
      },
      abort() {
        parts = undefined
      },
    }
  }

  function find(key: string): readonly Held[] {
    const list = byKey.get(key)
    if (list === undefined) return []
    byKey.delete(key)
    byKey.set(key, list)
    return list
  }

  return {
    find,
    peek: find,
    open,
    async refresh(stored, head) {
      if (!remove(stored)) return undefined
      const held = hold(head, (stored as Held).body)
      put(held)
      return held
    },
    remove(stored) {
      remove(stored)
    },
    async removeWhere(match) {
      let removed = 0
      for (const list of [...byKey.values()]) for (const one of list) if (match(one.head) && remove(one)) removed++
      return removed
    },
    get size() {
      return { memoryBytes: total, diskBytes: 0, entries }
    },
    async close() {
      byKey.clear()
    },
  }
}
