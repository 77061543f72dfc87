import { fail } from './module-fault.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads the primitive values of the WebAssembly binary format between two offsets, never beyond. Fails with `truncated`
 * or `malformed`. Integers are LEB128 with at most ceil(bits / 7) bytes (WebAssembly core specification §5.2.2).
 */
export class ByteReader {
  readonly bytes: Uint8Array
  at: number
  readonly end: number

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  byte(): number {
    if (this.at >= this.end)
      fail('truncated', this.at, 'The module ends, or a section of it, where a byte must follow.')
    return this.bytes[this.at++]!
  }

  u32(): number {
    const start = this.at
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      if (shift === 28 && byte > 0x0f) fail('malformed', start, 'An integer does not fit 32 bits.')
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    return fail('malformed', start, 'An integer is longer than five bytes.')
  }

  /** A signed integer whose value does not matter here: only where it ends. */
  skipInteger(maximumBytes: number): void {
    const start = this.at
    for (let count = 0; count < maximumBytes; count++) if (this.byte() < 0x80) return
    fail('malformed', start, `An integer is longer than ${maximumBytes} bytes.`)
  }

  /** Limits of memories with 64-bit addresses may be written with ten bytes; beyond 2^53 they lose precision. */
  u64(): number {
    const start = this.at
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    return fail('malformed', start, 'An integer is longer than ten bytes.')
  }

  skip(count: number): void {
    if (count > this.end - this.at)
      fail('truncated', this.at, `${count} bytes must follow, ${this.end - this.at} are there.`)
    this.at += count
  }

  /** The number of items that follow. An item takes a byte at least, so a count above what is left is a lie. */
  count(what: string): number {
    const start = this.at
    const count = this.u32()
    if (count > this.end - this.at)
      fail('truncated', start, `${count} ${what} are announced, more than bytes are left.`)
    return count
  }

  name(): string {
    const start = this.at
    const length = this.count('bytes of a name')
    this.at += length
    try {
      return utf8.decode(this.bytes.subarray(this.at - length, this.at))
    } catch {
      return fail('malformed', start, 'A name is not UTF-8.')
    }
  }
}
