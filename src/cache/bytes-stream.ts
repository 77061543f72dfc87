import { Readable } from 'node:stream'

/** The inclusive range of bytes at hand, cut to what there is, as a stream. */
export function streamBytes(bytes: Uint8Array, range?: { readonly start: number; readonly end: number }): Readable {
  const part = range === undefined ? bytes : bytes.subarray(range.start, Math.max(range.start, range.end + 1))
  return new Readable({
    read() {
      if (part.length > 0) this.push(part)
      this.push(null)
    },
  })
}
