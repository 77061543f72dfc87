/**
 * The tier on disk: small answers packed in segments, large bodies in files, an index of numbers in memory that says at
 * once what is not there. It survives SIGKILL (what was indexed is there, the rest is a miss) and a full disk (it rests).
 */
import type { Limits } from '#/core/limits.ts'
import type { Bytes, Clock } from '#/core/units.ts'
import type { BodyWriter, CacheStore, StoredAnswer, StoredHead } from '../store.ts'
import { sameFetch, sameIdentity } from '../stored-identity.ts'
import { DiskAnswer } from './disk-answer.ts'
import { createBodyWriter } from './disk-body-writer.ts'
import { createDiskWriter, type Pending } from './disk-writer.ts'
import { openShelf } from './open-shelf.ts'
import { createSweeper } from './remove-where.ts'

export interface DiskStoreOptions {
  /** A folder of its own; made where it is not there. */
  readonly folder: string
  /** Segments, body files and the index together. */
  readonly bytes: Bytes
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (message: string, facts?: object) => void
}

export interface DiskStore extends CacheStore {
  /** Stores a small body in the background; false when it is not taken (and what it replaces should go). */
  put(head: StoredHead, body: Uint8Array): boolean
  /** Whether anything may lie under the key; nothing is read. */
  has(key: string): boolean
  /** Whether everything that may lie under the key is among these. */
  coveredBy(key: string, answers: readonly StoredAnswer[]): boolean
  /** Whether something lies, or waits, under the head's key, variant and part; nothing is read. */
  holds(head: StoredHead): boolean
  /** As `open`; nothing is kept when `wanted` says no at the end. */
  openWhile(head: StoredHead, expectedBytes: Bytes | undefined, wanted: () => boolean): BodyWriter | undefined
  /** Drops what the head would replace, stored or waiting. */
  forget(head: StoredHead): void
  /** Resolves when nothing waits to be written and the index is committed. */
  settled(): Promise<void>
  /** Largest body that `put` takes. */
  readonly inlineBytes: Bytes
}

const none: readonly StoredAnswer[] = []

/** Rejects with `folder_in_use` where another process has the folder. */
export async function createDiskStore(options: DiskStoreOptions): Promise<DiskStore> {
  const { limits, bytes } = options
  const segmentBytes = Math.min(limits.cacheDiskSegmentBytes, Math.max(256 * 1024, bytes / 16))
  const inlineBytes = Math.min(limits.cacheInlineBytes, segmentBytes)
  const { shelf, indexFile } = await openShelf(options)
  const { index } = shelf
  const writer = createDiskWriter({ ...options, shelf, segmentBytes })
  const sweep = createSweeper(shelf, writer, () => indexFile.flush())
  let closed = false

  const answerOf = ({ head, body }: Pending): DiskAnswer => new DiskAnswer(shelf, head, body, undefined, 0)

  async function answerIn(slot: number): Promise<DiskAnswer | undefined> {
    const { segment, offset } = index.place(slot)
    const usesBefore = index.use(slot)
    const record = await shelf.read(slot)
    return record && new DiskAnswer(shelf, record.head, record.body, { slot, segment, offset }, usesBefore)
  }

  async function collect(key: string, waiting: readonly Pending[], slots: readonly number[]): Promise<StoredAnswer[]> {
    const read = await Promise.all(slots.map(answerIn))
    const found: StoredAnswer[] = waiting.filter(({ cancelled }) => !cancelled).map(answerOf)
    // A record of another key has the same hash; one that went while it was read is gone.
    for (const answer of read) if (answer !== undefined && answer.head.key === key && answer.current) found.push(answer)
    return found
  }

  async function written(pending: Pending | undefined): Promise<StoredAnswer | undefined> {
    const slot = await pending?.written
    if (pending === undefined || slot === undefined || pending.cancelled) return undefined
    const { segment, offset } = index.place(slot)
    return new DiskAnswer(shelf, pending.head, pending.body, { slot, segment, offset }, 0)
  }

  function forget(head: StoredHead): void {
    writer.cancel(head)
    for (const slot of shelf.replacedBy(shelf.addressOf(head))) shelf.remove(slot)
  }

  /** The body on disk that the stored answer has, whether it was found there or in memory. */
  async function bodyOf(stored: StoredAnswer): Promise<DiskAnswer | Pending | undefined> {
    const { head } = stored
    const waiting = writer.pendingOf(head.key)?.find((pending) => sameIdentity(pending.head, head))
    if (waiting !== undefined) return sameFetch(waiting.head, head) ? waiting : undefined
    const { hi, lo, variant, part } = shelf.addressOf(head)
    for (const slot of index.find(hi, lo)) {
      const place = index.place(slot)
      if (place.variant !== variant || place.part !== part) continue
      const answer = await answerIn(slot)
      const same = answer?.current === true && answer.bodyBytes === stored.bodyBytes
      if (same && answer.head.key === head.key && sameFetch(answer.head, head)) return answer
    }
    return undefined
  }

  function openWhile(
    head: StoredHead,
    expectedBytes: Bytes | undefined,
    wanted: () => boolean,
  ): BodyWriter | undefined {
    // One answer may take a quarter of the disk's share: a few huge ones must not empty the cache.
    if (closed || writer.resting || (expectedBytes ?? 0) > bytes / 4) return undefined
    return createBodyWriter({ head, shelf, writer, inlineBytes, mostBytes: bytes / 4, written, wanted })
  }

  return {
    inlineBytes,
    forget,
    put(head, body) {
      return !closed && body.length <= inlineBytes && writer.submit(head, body) !== undefined
    },
    has(key) {
      const { hi, lo } = shelf.hashKey(key)
      return index.has(hi, lo) || writer.pendingOf(key) !== undefined
    },
    coveredBy(key, answers) {
      const { hi, lo } = shelf.hashKey(key)
      const slots = index.find(hi, lo)
      const waiting = writer.pendingOf(key)
      if (slots.length === 0 && waiting === undefined) return true
      const known = answers.map(({ head }) => shelf.identify(head))
      for (const slot of slots) if (!known.some(({ variant, part }) => index.is(slot, variant, part))) return false
      for (const { address } of waiting ?? [])
        if (!known.some(({ variant, part }) => address.variant === variant && address.part === part)) return false
      return true
    },
    find(key) {
      const waiting = writer.pendingOf(key)
      const { hi, lo } = shelf.hashKey(key)
      if (waiting === undefined && !index.has(hi, lo)) return none
      return collect(key, waiting ?? [], index.find(hi, lo))
    },
    peek: () => undefined,
    holds(head) {
      const { hi, lo, variant, part } = shelf.addressOf(head)
      if (index.find(hi, lo).some((slot) => index.is(slot, variant, part))) return true
      const waiting = writer.pendingOf(head.key) ?? []
      return waiting.some(({ address }) => address.variant === variant && address.part === part)
    },
    openWhile,
    open: (head, expectedBytes) => openWhile(head, expectedBytes, () => true),
    async refresh(stored, head) {
      const body = await bodyOf(stored)
      if (body === undefined || closed) return undefined
      if (body instanceof DiskAnswer ? !body.current : body.cancelled) return undefined
      return written(writer.submit(head, body.body))
    },
    remove: (stored) => forget(stored.head),
    removeWhere: sweep,
    get size() {
      return { memoryBytes: index.bytes, diskBytes: shelf.bytes, entries: index.count }
    },
    async settled() {
      await writer.idle()
      await indexFile.flush()
    },
    async close() {
      if (closed) return
      closed = true
      await writer.idle()
      await indexFile.close()
      shelf.sweepAll()
      await shelf.segments.close()
    },
  }
}
