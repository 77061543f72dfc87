/**
 * The tier in memory: `find` answers at once, everything counts towards one bound in bytes, and S3-FIFO chooses what goes.
 */
import type { Limits } from '#/core/limits.ts'
import type { Bytes } from '#/core/units.ts'
import { createKeyHash } from '../hash-key.ts'
import type { BodyWriter, CacheStore, StoredAnswer, StoredHead } from '../store.ts'
import { replaces } from '../stored-identity.ts'
import { MemoryEntry } from './memory-entry.ts'
import { packHead } from './pack-head.ts'
import { createParsedHeads } from './parsed-heads.ts'
import { createAdmission } from './s3-fifo.ts'
import { createSlabs } from './slabs.ts'

export interface MemoryStoreOptions {
  /** Everything together: bodies, heads, and what it takes to find them. */
  readonly bytes: Bytes
  readonly limits: Limits
  /** Seeds the hash of keys. */
  readonly seed?: number
}

export interface MemoryStore extends CacheStore {
  find(key: string): readonly StoredAnswer[]
  /** Stores a whole body at once; undefined when it can never fit. */
  put(head: StoredHead, body: Uint8Array): StoredAnswer | undefined
  /** Drops what the head would replace. */
  forget(head: StoredHead): void
  refresh(stored: StoredAnswer, head: StoredHead): Promise<StoredAnswer | undefined>
  /** Counts bytes of a body that is still coming in; false when too many are. Negative: they are done. */
  hold(bytes: Bytes): boolean
  /** Largest body that may be stored. */
  readonly objectBytes: Bytes
}

/**
 * Measured with 200,000 objects (`bench/store-process.ts`): the entry, its places in the map and the slab, and its share of
 * the parsed heads. A key takes its length more.
 */
const entryBytes = 260
const none: readonly StoredAnswer[] = []

export function createMemoryStore({ bytes, limits, seed = 0x52694d57 }: MemoryStoreOptions): MemoryStore {
  const slabBytes = Math.max(16 * 1024, Math.min(256 * 1024, 2 ** Math.floor(Math.log2(Math.max(bytes, 1) / 16))))
  const slabs = createSlabs(slabBytes)
  const admission = createAdmission(bytes)
  const heads = createParsedHeads(Math.max(1, Math.min(limits.cacheMemoryHeads, Math.floor(bytes / 16_384))))
  const hashKey = createKeyHash(seed)
  const byKey = new Map<string, MemoryEntry>()
  const objectBytes = Math.min(limits.cacheMemoryObjectBytes, bytes / 8)
  let entries = 0
  let keyBytes = 0
  let ownBodies = 0
  let incoming = 0
  let closed = false

  function used(): number {
    return slabs.bytes + ownBodies + keyBytes + entries * entryBytes + incoming + admission.overheadBytes
  }

  function makeRoom(): void {
    while (used() > bytes) {
      const victim = admission.evict()
      if (victim === undefined) return
      drop(victim as MemoryEntry)
    }
  }

  function drop(entry: MemoryEntry): void {
    if (!entry.live) return
    entry.live = false
    admission.remove(entry)
    const first = byKey.get(entry.key)
    if (first === entry) {
      if (entry.sibling === undefined) byKey.delete(entry.key)
      else byKey.set(entry.key, entry.sibling)
    } else {
      let before = first
      while (before !== undefined && before.sibling !== entry) before = before.sibling
      if (before !== undefined) before.sibling = entry.sibling
    }
    entries--
    keyBytes -= entry.key.length
    ownBodies -= entry.bodyBytes - (entry.packedBytes - entry.headBytes)
    slabs.drop(entry)
  }

  /** Takes out what the head replaces, and the oldest sibling where there are too many. */
  function dropReplaced(head: StoredHead): void {
    let count = 0
    let last: MemoryEntry | undefined
    for (let entry = byKey.get(head.key); entry !== undefined; ) {
      const next: MemoryEntry | undefined = entry.sibling
      if (replaces(head, entry.head)) drop(entry)
      else {
        count++
        last = entry
      }
      entry = next
    }
    if (count >= limits.cacheVariants && last !== undefined) drop(last)
  }

  function put(head: StoredHead, body: Uint8Array, shared?: Uint8Array): MemoryEntry | undefined {
    if (closed || body.length > objectBytes) return undefined
    dropReplaced(head)
    const { key } = head
    const json = packHead(head)
    const headBytes = Buffer.byteLength(json)
    const packsBody = headBytes + body.length <= slabBytes / 4
    if (headBytes > slabBytes) return undefined
    const { slab, at } = slabs.reserve(headBytes + (packsBody ? body.length : 0))
    slab.bytes.write(json, at, 'utf8')
    if (packsBody) slab.bytes.set(body, at + headBytes)
    const ownBody = packsBody ? undefined : (shared ?? copyAlone(body))
    if (!packsBody) ownBodies += body.length
    const hash = hashKey(key).lo
    const weight = headBytes + body.length + entryBytes + key.length
    const remember = heads.remember
    const parts = { key, hash, slab, at, headBytes, bodyBytes: body.length, ownBody, weight, remember }
    const entry = new MemoryEntry(parts, head)
    slabs.settle(entry)
    entry.sibling = byKey.get(key)
    byKey.set(key, entry)
    entries++
    keyBytes += key.length
    heads.remember(entry)
    admission.insert(entry)
    makeRoom()
    return entry
  }

  function hold(count: Bytes): boolean {
    if (count > 0 && incoming + count > bytes / 4) return false
    incoming += count
    if (count > 0) makeRoom()
    return true
  }

  function open(head: StoredHead, expectedBytes: Bytes | undefined): BodyWriter | undefined {
    if (closed || (expectedBytes ?? 0) > objectBytes) return undefined
    let chunks: Uint8Array[] = []
    let length = 0
    let done = false
    const end = (): void => {
      hold(-length)
      chunks = []
      done = true
    }
    return {
      write(chunk) {
        if (done) return false
        if (length + chunk.length > objectBytes || !hold(chunk.length)) {
          end()
          return false
        }
        length += chunk.length
        chunks.push(chunk)
        return true
      },
      async finish() {
        if (done) return undefined
        const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length)
        end()
        return put(head, body)
      },
      abort() {
        if (!done) end()
      },
    }
  }

  function forget(head: StoredHead): void {
    for (let entry = byKey.get(head.key); entry !== undefined; ) {
      const next: MemoryEntry | undefined = entry.sibling
      if (replaces(head, entry.head)) drop(entry)
      entry = next
    }
  }

  function find(key: string): readonly StoredAnswer[] {
    const first = byKey.get(key)
    if (first === undefined) return none
    if (first.sibling === undefined) {
      first.touch()
      return [first]
    }
    const found: StoredAnswer[] = []
    for (let entry: MemoryEntry | undefined = first; entry !== undefined; entry = entry.sibling) {
      entry.countsUse = true
      found.push(entry)
    }
    return found
  }

  return {
    find,
    peek: find,
    objectBytes,
    put: (head, body) => put(head, body),
    forget,
    hold,
    open,
    async refresh(stored, head) {
      if (!(stored instanceof MemoryEntry) || !stored.live) return undefined
      const { hits } = stored
      drop(stored)
      const entry = put(head, stored.bytes(), stored.ownBody)
      if (entry !== undefined) entry.hits = hits
      return entry
    },
    remove: (stored) => forget(stored.head),
    async removeWhere(match) {
      let removed = 0
      let looked = 0
      for (const key of [...byKey.keys()]) {
        for (let entry = byKey.get(key); entry !== undefined; ) {
          const next: MemoryEntry | undefined = entry.sibling
          if (entry.live && match(entry.readHead())) {
            drop(entry)
            removed++
          }
          entry = next
        }
        if (++looked % 512 === 0) await new Promise(setImmediate)
      }
      return removed
    },
    get size() {
      return { memoryBytes: used(), diskBytes: 0, entries }
    },
    async close() {
      closed = true
      byKey.clear()
      entries = 0
    },
  }
}

/** A buffer of exactly this size: one of a shared pool would keep the whole pool alive. */
function copyAlone(body: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(body.length)
  copy.set(body)
  return copy
}
