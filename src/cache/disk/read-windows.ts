import type { Place } from './disk-index.ts'
import type { Segment } from './segments.ts'
import type { Shelf } from './shelf.ts'

export interface WindowRecord {
  readonly slot: number
  readonly place: Place
  /** The record as it lies on disk, unchecked. */
  readonly raw: Buffer
}

const windowBytes = 256 * 1024

/**
 * The given records of one segment in the order they lie there, many with one read. What went meanwhile is left out; of a
 * place that cannot be read nothing comes.
 */
export async function* readWindows(
  { segments, index }: Shelf,
  segment: Segment,
  slots: readonly number[],
): AsyncGenerator<WindowRecord[]> {
  const wanted = slots
    .map((slot) => ({ slot, place: index.place(slot) }))
    .sort((a, b) => a.place.offset - b.place.offset)
  for (let from = 0; from < wanted.length; ) {
    const start = wanted[from]!.place.offset
    let until = from + 1
    let end = start + wanted[from]!.place.bytes
    while (until < wanted.length) {
      const { offset, bytes } = wanted[until]!.place
      if (offset + bytes - start > windowBytes) break
      end = offset + bytes
      until++
    }
    const window = await segments.read(segment, start, end - start)
    if (window !== undefined)
      yield wanted
        .slice(from, until)
        .filter(({ slot, place }) => index.holds(slot, segment.number, place.offset))
        .map(({ slot, place }) => ({
          slot,
          place,
          raw: window.subarray(place.offset - start, place.offset - start + place.bytes),
        }))
    from = until
  }
}
