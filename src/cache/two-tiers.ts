/**
 * Memory over disk. What is stored is in memory at once and on disk soon; what memory gave up is found on disk, and comes
 * back up when it is asked for again. The disk never holds an answer older than the one in memory.
 */
import type { Limits } from '#/core/limits.ts'
import type { Bytes, Clock } from '#/core/units.ts'
import { type Claim, createDiskCopies } from './copy-to-disk.ts'
import { createDiskStore, type DiskStore } from './disk/disk-store.ts'
import { createMemoryStore, type MemoryStore } from './memory/memory-store.ts'
import { createPromotion } from './promote.ts'
import type { BodyWriter, CacheStore, StoredAnswer, StoredHead } from './store.ts'
import { sameIdentity } from './stored-identity.ts'

export interface TwoTiersOptions {
  readonly memory: MemoryStore
  readonly disk: DiskStore
  readonly limits: Limits
}

export interface CacheStoreOptions {
  /** The disk tier's own folder. */
  readonly folder: string
  readonly memoryBytes: Bytes
  /** 0: in memory only. */
  readonly diskBytes: Bytes
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (message: string, facts?: object) => void
}

/** The store of one point of presence. Rejects with `folder_in_use` where another process has the folder. */
export async function createCacheStore(options: CacheStoreOptions): Promise<CacheStore> {
  const { memoryBytes, diskBytes, limits } = options
  const seed = crypto.getRandomValues(new Int32Array(1))[0]!
  const memory = createMemoryStore({ bytes: memoryBytes, limits, seed })
  if (diskBytes === 0) return memory
  const disk = await createDiskStore({ ...options, bytes: diskBytes })
  return createTwoTiers({ memory, disk, limits })
}

export function createTwoTiers({ memory, disk, limits }: TwoTiersOptions): CacheStore {
  const copies = createDiskCopies({ disk, queueBytes: limits.cacheDiskQueueBytes })
  const sweeping = new Set<(head: StoredHead) => boolean>()
  let closed = false
  const promotion = createPromotion(memory, (head) => [...sweeping].some((match) => match(head)))

  async function findBelow(key: string): Promise<readonly StoredAnswer[]> {
    const cold = await disk.find(key)
    // Memory is asked again: it may have changed while the disk was read.
    const hot = memory.find(key)
    const missing = cold.filter(({ head }) => !hot.some((answer) => sameIdentity(answer.head, head)))
    promotion.consider(missing)
    return hot.length === 0 ? missing : [...hot, ...missing]
  }

  function store(head: StoredHead, body: Uint8Array): StoredAnswer | undefined {
    const answer = memory.put(head, body)
    if (answer === undefined || head.memoryOnly === true) disk.forget(head)
    else copies.copy(head, answer.bytes() ?? body)
    return answer
  }

  /** A body too large for memory, to the disk alone. */
  function openBelow(head: StoredHead, expectedBytes: Bytes | undefined): BodyWriter | undefined {
    if (head.memoryOnly === true) return undefined
    let claim: Claim | undefined
    const below = disk.openWhile(head, expectedBytes, () => claim?.wanted === true)
    async function finish(): Promise<StoredAnswer | undefined> {
      claim = copies.claim(head)
      const answer = await below?.finish()
      claim.end()
      if (!claim.wanted) return undefined
      // Without it the older one in memory would go on answering.
      memory.forget(head)
      if (answer === undefined) disk.forget(head)
      return answer
    }
    return below && { finish, write: (chunk) => below.write(chunk), abort: () => below.abort() }
  }

  /** What came so far goes to the disk, and so does the rest. */
  async function spill(head: StoredHead, chunks: readonly Uint8Array[]): Promise<BodyWriter | undefined> {
    const below = openBelow(head, undefined)
    for (const chunk of chunks) if (below === undefined || !(await below.write(chunk))) return undefined
    return below
  }

  function open(head: StoredHead, expectedBytes: Bytes | undefined): BodyWriter | undefined {
    if (closed) return undefined
    if ((expectedBytes ?? 0) > memory.objectBytes) return openBelow(head, expectedBytes)
    let chunks: Uint8Array[] = []
    let length = 0
    let below: Promise<BodyWriter | undefined> | undefined
    let ended = false
    let aborted = false
    const letGo = (): void => {
      memory.hold(-length)
      chunks = []
      length = 0
    }
    async function writeBelow(chunk: Uint8Array): Promise<boolean> {
      const writer = await below
      // Also when the end was announced meanwhile: this comes before it.
      return writer !== undefined && !aborted && (await writer.write(chunk))
    }
    return {
      write(chunk) {
        if (ended) return false
        if (below !== undefined) return writeBelow(chunk)
        if (length + chunk.length <= memory.objectBytes && memory.hold(chunk.length)) {
          length += chunk.length
          chunks.push(chunk)
          return true
        }
        below = spill(head, chunks).finally(letGo)
        return writeBelow(chunk)
      },
      async finish() {
        if (ended) return undefined
        ended = true
        if (below !== undefined) return (await below)?.finish()
        const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length)
        letGo()
        return store(head, body)
      },
      abort() {
        if (ended) return
        ended = true
        aborted = true
        if (below === undefined) letGo()
        else void below.then((writer) => writer?.abort())
      },
    }
  }

  async function refresh(stored: StoredAnswer, head: StoredHead): Promise<StoredAnswer | undefined> {
    const fresh = await memory.refresh(stored, head)
    if (fresh === undefined) {
      const below = await disk.refresh(stored, head)
      // It may have come up with its old head meanwhile.
      if (below !== undefined) memory.forget(head)
      return below
    }
    const body = fresh.bytes()!
    if (head.memoryOnly === true) {
      copies.cancel(head)
      disk.forget(head)
      return fresh
    }
    if (body.length <= disk.inlineBytes || copies.under(head)) copies.copy(head, body)
    else await disk.refresh(stored, head)
    return fresh
  }

  async function removeWhere(match: (head: StoredHead) => boolean): Promise<number> {
    sweeping.add(match)
    try {
      let onlyInMemory = 0
      copies.cancelWhere(match)
      await memory.removeWhere((head) => {
        const matches = match(head)
        if (matches && !disk.holds(head)) onlyInMemory++
        return matches
      })
      return onlyInMemory + (await disk.removeWhere(match))
    } finally {
      sweeping.delete(match)
    }
  }

  return {
    open,
    refresh,
    removeWhere,
    find(key) {
      const hot = memory.find(key)
      if (disk.coveredBy(key, hot)) return hot
      return findBelow(key)
    },
    peek(key) {
      const hot = memory.find(key)
      return hot.length > 0 && disk.coveredBy(key, hot) ? hot : undefined
    },
    remove({ head }) {
      copies.cancel(head)
      memory.forget(head)
      disk.forget(head)
    },
    get size() {
      const above = memory.size
      const below = disk.size
      return {
        memoryBytes: above.memoryBytes + below.memoryBytes,
        diskBytes: below.diskBytes,
        // Nearly all of memory is on disk too.
        entries: Math.max(above.entries, below.entries),
      }
    },
    async close() {
      closed = true
      await copies.idle()
      await disk.close()
      await memory.close()
    },
  }
}
