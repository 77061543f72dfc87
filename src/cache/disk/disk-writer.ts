/**
 * Everything that is written: a bounded queue in front of the current segment, many records with one write, and room made
 * for them by giving up the oldest segment. What was used since it was written moves on (second chance), the rest goes.
 */
import type { Limits } from '#/core/limits.ts'
import type { Bytes, Clock, EpochMs, Milliseconds } from '#/core/units.ts'
import type { StoredHead } from '../store.ts'
import { replaces } from '../stored-identity.ts'
import type { Place } from './disk-index.ts'
import { readWindows, type WindowRecord } from './read-windows.ts'
import { decodeRecord, encodeRecord, type FileBody } from './record.ts'
import type { Segment } from './segments.ts'
import type { Address, Shelf } from './shelf.ts'

/** A record on its way to the disk; already found by `find`. */
export interface Pending {
  readonly head: StoredHead
  readonly body: Uint8Array | FileBody
  readonly address: Address
  readonly bytes: Bytes
  cancelled: boolean
  /** The slot, once it is written; undefined when it is not. */
  readonly written: Promise<number | undefined>
}

export interface DiskWriter {
  /** Takes the place of what it replaces at once. Undefined when the queue is full or the disk is resting. */
  submit(head: StoredHead, body: Uint8Array | FileBody): Pending | undefined
  pendingOf(key: string): readonly Pending[] | undefined
  /** Cancels what waits and the head would replace. */
  cancel(head: StoredHead): void
  cancelWhere(match: (head: StoredHead) => boolean): number
  /** Makes room for a body that grows in a file of its own; false when there is none. */
  reserve(bytes: Bytes): Promise<boolean>
  failed(error: unknown): void
  readonly resting: boolean
  /** While set, matching records are neither stored nor moved. */
  refuse: ((head: StoredHead) => boolean) | undefined
  /** Resolves when the queue is empty. */
  idle(): Promise<void>
}

export interface DiskWriterOptions {
  readonly shelf: Shelf
  readonly bytes: Bytes
  readonly segmentBytes: Bytes
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (message: string, facts?: object) => void
}

interface Waiting extends Pending {
  readonly settle: (slot: number | undefined) => void
}

/** What a head takes in the queue, roughly. */
const headBytes = 2048
const batchBytes = 1024 * 1024
/** What a kill loses more: answers of so long, which are fetched again. */
const gatherMs: Milliseconds = 10
const fullCodes: readonly unknown[] = ['ENOSPC', 'EDQUOT', undefined]

export function createDiskWriter(options: DiskWriterOptions): DiskWriter {
  const { shelf, limits, clock, segmentBytes } = options
  const { index, segments } = shelf
  // What moves on is written before its segment goes: half a segment is kept free for it.
  const cap = options.bytes - segmentBytes / 2
  const byKey = new Map<string, Waiting[]>()
  let queue: Waiting[] = []
  let queuedBytes = 0
  let turn: Promise<unknown> = Promise.resolve()
  let pumping: Promise<void> | undefined
  let restUntil: EpochMs = 0
  let refuse: ((head: StoredHead) => boolean) | undefined

  /** One at a time: appends, moves and evictions all change what lies where. */
  function exclusive<Value>(run: () => Promise<Value>): Promise<Value> {
    const mine = turn.then(run)
    turn = mine.catch(() => {})
    return mine
  }

  function submit(head: StoredHead, body: Uint8Array | FileBody): Pending | undefined {
    const bytes = headBytes + ('file' in body ? body.checks.length : body.length)
    if (clock() < restUntil || queuedBytes + bytes > limits.cacheDiskQueueBytes || refuse?.(head) === true)
      return undefined
    const address = shelf.addressOf(head)
    if ('file' in body) shelf.retain(body.file, body.bytes)
    for (const waiting of byKey.get(head.key) ?? []) if (replaces(head, waiting.head)) abandon(waiting)
    for (const slot of shelf.replacedBy(address)) shelf.remove(slot)
    const slots = index.find(address.hi, address.lo)
    if (slots.length >= limits.cacheVariants) shelf.remove(slots.at(-1)!)
    const { promise, resolve } = Promise.withResolvers<number | undefined>()
    const waiting: Waiting = { head, body, address, bytes, cancelled: false, written: promise, settle: resolve }
    const known = byKey.get(head.key)
    if (known === undefined) byKey.set(head.key, [waiting])
    else known.push(waiting)
    queue.push(waiting)
    queuedBytes += bytes
    pumping ??= pump()
    return waiting
  }

  /** Out of sight at once; the pump passes over it. */
  function abandon(waiting: Waiting): void {
    if (waiting.cancelled) return
    waiting.cancelled = true
    settle(waiting, undefined)
  }

  function settle(waiting: Waiting, slot: number | undefined): void {
    queuedBytes -= waiting.bytes
    const rest = byKey.get(waiting.head.key)?.filter((other) => other !== waiting) ?? []
    if (rest.length === 0) byKey.delete(waiting.head.key)
    else byKey.set(waiting.head.key, rest)
    if ('file' in waiting.body) shelf.release(waiting.body.file)
    waiting.settle(slot)
  }

  function takeBatch(): Waiting[] {
    let bytes = 0
    let count = 0
    while (
      count < queue.length &&
      (count === 0 || bytes + queue[count]!.bytes <= Math.min(batchBytes, segmentBytes / 4))
    )
      bytes += queue[count++]!.bytes
    const batch = queue.slice(0, count)
    queue = queue.slice(count)
    return batch.filter(({ cancelled }) => !cancelled)
  }

  /** What is stored within a few milliseconds shares a write, which costs a miss more than its own part of it. */
  async function gather(): Promise<void> {
    await new Promise(setImmediate)
    if (queuedBytes < batchBytes) await new Promise((resolve) => setTimeout(resolve, gatherMs))
  }

  async function pump(): Promise<void> {
    await gather()
    while (queue.length > 0) {
      const batch = takeBatch()
      if (batch.length === 0) continue
      try {
        await exclusive(() => write(batch))
      } catch (error) {
        failed(error)
        const lost = [...batch, ...queue]
        queue = []
        for (const waiting of lost) abandon(waiting)
      }
    }
    pumping = undefined
  }

  async function write(batch: readonly Waiting[]): Promise<void> {
    const records = batch.map(({ head, body }) => encodeRecord(head, body))
    await makeRoom(records.reduce((sum, record) => sum + record.length, 0))
    await append(records, (number, place) => {
      const waiting = batch[number]!
      if (waiting.cancelled) return
      const { body, address } = waiting
      const inFile = 'file' in body
      const slot = shelf.insert({
        ...place,
        ...address,
        file: inFile ? body.file : 0,
        fileBytes: inFile ? body.bytes : 0,
      })
      if (inFile) segments.all.get(place.segment)!.fileBytes += body.bytes
      settle(waiting, slot)
    })
  }

  type Spot = Pick<Place, 'segment' | 'offset' | 'bytes'>

  async function append(records: readonly Buffer[], placed: (number: number, spot: Spot) => void): Promise<void> {
    const length = records.reduce((sum, record) => sum + record.length, 0)
    const { current } = segments
    if (current !== undefined && current.bytes + current.fileBytes + length > segmentBytes) segments.seal()
    const { segment, offset } = await segments.append(records)
    let at = offset
    records.forEach((record, number) => {
      placed(number, { segment: segment.number, offset: at, bytes: record.length })
      at += record.length
    })
  }

  async function makeRoom(bytes: Bytes): Promise<void> {
    while (shelf.bytes + bytes > cap || index.count >= limits.cacheDiskObjects) {
      const oldest = oldestSegment()
      if (oldest === undefined) throw new Error('no segment is left to give up')
      if (oldest === segments.current) segments.seal()
      await moveUsed(oldest)
      shelf.drop(oldest)
    }
  }

  function oldestSegment(): Segment | undefined {
    for (const segment of segments.all.values()) return segment
    return undefined
  }

  /** At most half of the segment moves on, so that every eviction frees something. */
  async function moveUsed(segment: Segment): Promise<void> {
    let spare = (segment.bytes + segment.fileBytes) / 2
    const used = index.slotsOf(segment.number).filter((slot) => {
      if (index.uses(slot) === 0) return false
      const { bytes, fileBytes } = index.place(slot)
      spare -= bytes + fileBytes
      return spare >= 0
    })
    for await (const window of readWindows(shelf, segment, used)) {
      const kept = refuse === undefined ? window : window.filter(({ raw }) => maySurvive(raw))
      if (kept.length > 0) await moveWindow(kept)
    }
  }

  function maySurvive(raw: Buffer): boolean {
    const record = decodeRecord(raw)
    return record !== undefined && refuse?.(record.head) !== true
  }

  async function moveWindow(window: readonly WindowRecord[]): Promise<void> {
    const records = window.map(({ raw }) => raw)
    await append(records, (number, spot) => {
      const { slot, place } = window[number]!
      if (!index.holds(slot, place.segment, place.offset)) return
      shelf.insert({ ...place, ...spot })
      shelf.remove(slot)
      segments.all.get(spot.segment)!.fileBytes += place.fileBytes
    })
  }

  function failed(error: unknown): void {
    restUntil = clock() + limits.cacheDiskPauseMs
    segments.seal()
    const { code, message } = error as NodeJS.ErrnoException
    // Room for whoever needs it more; the cache shrinks until the disk has some again.
    const oldest = oldestSegment()
    if (fullCodes.includes(code) && oldest !== undefined && segments.all.size > 1) shelf.drop(oldest)
    options.log('the cache stores nothing on disk for a while', { reason: message, ms: limits.cacheDiskPauseMs })
  }

  return {
    submit,
    failed,
    pendingOf: (key) => byKey.get(key),
    cancel(head) {
      for (const waiting of byKey.get(head.key) ?? []) if (replaces(head, waiting.head)) abandon(waiting)
    },
    cancelWhere(match) {
      let count = 0
      for (const list of [...byKey.values()])
        for (const waiting of list)
          if (match(waiting.head)) {
            abandon(waiting)
            count++
          }
      return count
    },
    reserve: (bytes) =>
      exclusive(() => makeRoom(bytes)).then(
        () => true,
        () => false,
      ),
    get resting() {
      return clock() < restUntil
    },
    get refuse() {
      return refuse
    },
    set refuse(match) {
      refuse = match
    },
    async idle() {
      while (pumping !== undefined) await pumping
      await turn
    },
  }
}
