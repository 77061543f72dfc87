/** What lies on disk and where: the index in memory, the one on disk, segments and body files, kept in step. */
import type { Bytes } from '#/core/units.ts'
import { createKeyHash, type KeyHash } from '../hash-key.ts'
import type { StoredHead } from '../store.ts'
import { partStart } from '../stored-identity.ts'
import type { BodyFiles } from './body-files.ts'
import type { DiskIndex, Place } from './disk-index.ts'
import type { IndexFile } from './index-file.ts'
import { type DiskRecord, decodeRecord } from './record.ts'
import type { Segment, Segments } from './segments.ts'

/** What a head is found by. */
export type Address = Pick<Place, 'hi' | 'lo' | 'variant' | 'part'>

export interface Shelf {
  readonly index: DiskIndex
  readonly segments: Segments
  readonly bodies: BodyFiles
  readonly hashKey: (key: string) => KeyHash
  addressOf(head: StoredHead): Address
  /** The half of the address that tells answers of one key apart. */
  identify(head: StoredHead): Pick<Place, 'variant' | 'part'>
  /** Records that a head of this address takes the place of. */
  replacedBy(address: Address): number[]
  /** Undefined when the record went meanwhile or is damaged; a damaged one is dropped. */
  read(slot: number): Promise<DiskRecord | undefined>
  insert(place: Place): number
  remove(slot: number): void
  /** Removes the segment with everything in it. */
  drop(segment: Segment): void
  /** A body file lives while somebody holds it. */
  retain(file: number, bytes: Bytes): void
  release(file: number): void
  /** Bytes of bodies that are being written. */
  growing: Bytes
  readonly bytes: Bytes
  /** Deletes files that nothing names on disk any more either. */
  committed(): void
  sweepAll(): void
}

export interface ShelfParts {
  readonly index: DiskIndex
  readonly segments: Segments
  readonly bodies: BodyFiles
  readonly indexFile: IndexFile
}

export function createShelf({ index, segments, bodies, indexFile }: ShelfParts): Shelf {
  const hashKey = createKeyHash(indexFile.seed)
  const files = new Map<number, { readonly bytes: number; holders: number }>()
  let fileBytes = 0
  let growing = 0
  let doomed: number[] = []
  let doomedBefore: number[] = []

  function retain(file: number, bytes: Bytes): void {
    if (file === 0) return
    const known = files.get(file)
    if (known !== undefined) {
      known.holders++
      return
    }
    files.set(file, { bytes, holders: 1 })
    fileBytes += bytes
  }

  function release(file: number): void {
    const known = files.get(file)
    if (known === undefined || --known.holders > 0) return
    files.delete(file)
    fileBytes -= known.bytes
    doomed.push(file)
  }

  function addressOf(head: StoredHead): Address {
    const { hi, lo } = hashKey(head.key)
    return { hi, lo, ...identify(head) }
  }

  function identify(head: StoredHead): Pick<Place, 'variant' | 'part'> {
    const variant = hashKey(head.variant).lo
    const start = partStart(head)
    const part = start < 0 ? 0 : start < 0xffff_ffff ? start + 1 : hashKey(`${start}`).lo | 1
    return { variant, part }
  }

  function remove(slot: number): void {
    const { segment, offset, file } = index.place(slot)
    index.remove(slot)
    indexFile.gone(segment, offset)
    release(file)
    const lies = segments.all.get(segment)
    if (lies !== undefined && index.isEmpty(segment) && lies !== segments.current) drop(lies)
  }

  function drop(segment: Segment): void {
    for (const slot of index.slotsOf(segment.number)) {
      release(index.place(slot).file)
      index.remove(slot)
    }
    segments.drop(segment)
    indexFile.drop(segment.number)
  }

  async function read(slot: number): Promise<DiskRecord | undefined> {
    const { segment, offset, bytes } = index.place(slot)
    const lies = segments.all.get(segment)
    const raw = lies === undefined ? undefined : await segments.read(lies, offset, bytes)
    if (!index.holds(slot, segment, offset)) return undefined
    const record = raw === undefined ? undefined : decodeRecord(raw)
    if (record === undefined) remove(slot)
    return record
  }

  return {
    index,
    segments,
    bodies,
    hashKey,
    addressOf,
    identify,
    remove,
    drop,
    read,
    retain,
    release,
    replacedBy: ({ hi, lo, variant, part }) =>
      index.find(hi, lo).filter((slot) => {
        const place = index.place(slot)
        return place.variant === variant && (part === 0 || place.part === part)
      }),
    insert(place) {
      retain(place.file, place.fileBytes)
      indexFile.put(place)
      return index.insert(place)
    },
    get growing() {
      return growing
    },
    set growing(bytes) {
      growing = bytes
    },
    get bytes() {
      return segments.bytes + fileBytes + growing + indexFile.bytes
    },
    committed() {
      for (const file of doomedBefore) bodies.remove(file)
      doomedBefore = doomed
      doomed = []
    },
    sweepAll() {
      for (const file of [...doomedBefore, ...doomed]) bodies.remove(file)
      doomedBefore = []
      doomed = []
    },
  }
}
