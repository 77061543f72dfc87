/** Places of records packed for the index on disk: 36 bytes each, little-endian. The segment stands beside them. */
import type { Place } from './disk-index.ts'

export const placeBytes = 36

export function packPlaces(places: readonly Place[]): Buffer {
  const packed = Buffer.allocUnsafeSlow(places.length * placeBytes)
  let at = 0
  for (const place of places) {
    packed.writeUInt32LE(place.offset, at)
    packed.writeUInt32LE(place.bytes, at + 4)
    packed.writeUInt32LE(place.hi, at + 8)
    packed.writeUInt32LE(place.lo, at + 12)
    packed.writeUInt32LE(place.variant, at + 16)
    packed.writeUInt32LE(place.part, at + 20)
    packed.writeUInt32LE(place.file, at + 24)
    packed.writeDoubleLE(place.fileBytes, at + 28)
    at += placeBytes
  }
  return packed
}

/** Calls `take` for each packed place; what is left of a torn one is ignored. */
export function unpackPlaces(segment: number, packed: Uint8Array, take: (place: Place) => void): void {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  for (let at = 0; at + placeBytes <= packed.byteLength; at += placeBytes)
    take({
      segment,
      offset: view.getUint32(at, true),
      bytes: view.getUint32(at + 4, true),
      hi: view.getUint32(at + 8, true),
      lo: view.getUint32(at + 12, true),
      variant: view.getUint32(at + 16, true),
      part: view.getUint32(at + 20, true),
      file: view.getUint32(at + 24, true),
      fileBytes: view.getFloat64(at + 28, true),
    })
}

/** The offset names a record within its segment: enough to say that it is gone. */
export function packOffsets(offsets: readonly number[]): Buffer {
  const packed = Buffer.allocUnsafeSlow(offsets.length * 4)
  offsets.forEach((offset, index) => {
    packed.writeUInt32LE(offset, index * 4)
  })
  return packed
}

/** The packed places without those whose offsets are gone. */
export function withoutGone(packed: readonly Uint8Array[], gone: ReadonlySet<number>): Uint8Array<ArrayBuffer> {
  const total = packed.reduce((sum, part) => sum + part.byteLength, 0)
  const kept = new Uint8Array(total)
  let length = 0
  for (const part of packed) {
    const view = new DataView(part.buffer, part.byteOffset, part.byteLength)
    for (let at = 0; at + placeBytes <= part.byteLength; at += placeBytes) {
      if (gone.has(view.getUint32(at, true))) continue
      kept.set(part.subarray(at, at + placeBytes), length)
      length += placeBytes
    }
  }
  return kept.subarray(0, length)
}
