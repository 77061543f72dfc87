/**
 * Where each record lies, for a million records and more: columns of numbers instead of objects, 57 bytes a record. Found
 * by the 64-bit hash of the key; the record itself says whether it is the one. A slot number is the name of a record here.
 */

/** A record's place and what must be known of it without reading. */
export interface Place {
  readonly hi: number
  readonly lo: number
  /** Hash of the variant. */
  readonly variant: number
  /** 0: complete; else from the first byte of the part. */
  readonly part: number
  readonly segment: number
  readonly offset: number
  readonly bytes: number
  /** Number of the file with its body; 0: the body is in the record. */
  readonly file: number
  readonly fileBytes: number
}

export interface DiskIndex {
  insert(place: Place): number
  remove(slot: number): void
  /** Slots of all records whose key has this hash. */
  find(hi: number, lo: number): number[]
  has(hi: number, lo: number): boolean
  slotsOf(segment: number): number[]
  isEmpty(segment: number): boolean
  place(slot: number): Place
  /** Whether the record in the slot is of this variant and part. */
  is(slot: number, variant: number, part: number): boolean
  /** Whether the slot still holds the record of that place: places are never used twice. */
  holds(slot: number, segment: number, offset: number): boolean
  /** Counts a use, to 3; returns the uses before. */
  use(slot: number): number
  uses(slot: number): number
  readonly count: number
  readonly bytes: number
}

const nothing = 0xffffffff
const mostUses = 3

export function createDiskIndex(): DiskIndex {
  let capacity = 1024
  const column = (): Uint32Array<ArrayBuffer> => new Uint32Array(capacity)
  let his = column()
  let los = column()
  let variants = column()
  let parts = column()
  let segments = column()
  let offsets = column()
  let lengths = column()
  let files = column()
  /** Next record of the same bucket; of a free slot: the next free one. */
  let nexts = column()
  let newer = column()
  let older = column()
  let fileBytes = new Float64Array(capacity)
  let used = new Uint8Array(capacity)
  let buckets = column().fill(nothing)
  const newestOf = new Map<number, number>()
  let free = nothing
  let fresh = 0
  let count = 0

  function grow(): void {
    capacity *= 2
    const copy = (old: Uint32Array): Uint32Array<ArrayBuffer> => {
      const wider = column()
      wider.set(old)
      return wider
    }
    his = copy(his)
    los = copy(los)
    variants = copy(variants)
    parts = copy(parts)
    segments = copy(segments)
    offsets = copy(offsets)
    lengths = copy(lengths)
    files = copy(files)
    nexts = copy(nexts)
    newer = copy(newer)
    older = copy(older)
    const widerBytes = new Float64Array(capacity)
    widerBytes.set(fileBytes)
    fileBytes = widerBytes
    const widerUsed = new Uint8Array(capacity)
    widerUsed.set(used)
    used = widerUsed
    buckets = column().fill(nothing)
    // Every slot is taken when the columns grow.
    for (let slot = 0; slot < fresh; slot++) intoBucket(slot)
  }

  function intoBucket(slot: number): void {
    const bucket = los[slot]! & (capacity - 1)
    nexts[slot] = buckets[bucket]!
    buckets[bucket] = slot
  }

  function takeSlot(): number {
    if (free !== nothing) {
      const slot = free
      free = nexts[slot]!
      return slot
    }
    if (fresh === capacity) grow()
    return fresh++
  }

  function insert(place: Place): number {
    const slot = takeSlot()
    his[slot] = place.hi
    los[slot] = place.lo
    variants[slot] = place.variant
    parts[slot] = place.part
    segments[slot] = place.segment
    offsets[slot] = place.offset
    lengths[slot] = place.bytes
    files[slot] = place.file
    fileBytes[slot] = place.fileBytes
    used[slot] = 0
    intoBucket(slot)
    const newest = newestOf.get(place.segment) ?? nothing
    older[slot] = newest
    newer[slot] = nothing
    if (newest !== nothing) newer[newest] = slot
    newestOf.set(place.segment, slot)
    count++
    return slot
  }

  function remove(slot: number): void {
    const bucket = los[slot]! & (capacity - 1)
    if (buckets[bucket] === slot) buckets[bucket] = nexts[slot]!
    else {
      let before = buckets[bucket]!
      while (nexts[before] !== slot) before = nexts[before]!
      nexts[before] = nexts[slot]!
    }
    const after = newer[slot]!
    const previous = older[slot]!
    if (previous !== nothing) newer[previous] = after
    if (after !== nothing) older[after] = previous
    else if (previous === nothing) newestOf.delete(segments[slot]!)
    else newestOf.set(segments[slot]!, previous)
    segments[slot] = nothing
    nexts[slot] = free
    free = slot
    count--
  }

  function find(hi: number, lo: number): number[] {
    const found: number[] = []
    for (let slot = buckets[lo & (capacity - 1)]!; slot !== nothing; slot = nexts[slot]!)
      if (los[slot] === lo && his[slot] === hi) found.push(slot)
    return found
  }

  return {
    insert,
    remove,
    find,
    has(hi, lo) {
      for (let slot = buckets[lo & (capacity - 1)]!; slot !== nothing; slot = nexts[slot]!)
        if (los[slot] === lo && his[slot] === hi) return true
      return false
    },
    slotsOf(segment) {
      const slots: number[] = []
      for (let slot = newestOf.get(segment) ?? nothing; slot !== nothing; slot = older[slot]!) slots.push(slot)
      return slots.reverse()
    },
    isEmpty: (segment) => !newestOf.has(segment),
    place: (slot) => ({
      hi: his[slot]!,
      lo: los[slot]!,
      variant: variants[slot]!,
      part: parts[slot]!,
      segment: segments[slot]!,
      offset: offsets[slot]!,
      bytes: lengths[slot]!,
      file: files[slot]!,
      fileBytes: fileBytes[slot]!,
    }),
    is: (slot, variant, part) => variants[slot] === variant && parts[slot] === part,
    holds: (slot, segment, offset) => segments[slot] === segment && offsets[slot] === offset,
    use(slot) {
      const before = used[slot]!
      if (before < mostUses) used[slot] = before + 1
      return before
    },
    uses: (slot) => used[slot]!,
    get count() {
      return count
    },
    get bytes() {
      return capacity * (12 * 4 + 8 + 1)
    },
  }
}
