/** A program's linear memory as host calls see it: every access is checked, numbers are little-endian. */
import { refuse, status } from './status.ts'

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Throws `HostcallError` for what lies outside, and for text that is not UTF-8. Pointers come as i32 and are read unsigned. */
export class GuestMemory {
  readonly #memory: WebAssembly.Memory
  #bytes: Buffer
  #view: DataView

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory
    this.#bytes = Buffer.from(memory.buffer)
    this.#view = new DataView(memory.buffer)
  }

  /** Bytes of all of it. */
  get size(): number {
    return this.#memory.buffer.byteLength
  }

  /** The bytes themselves, not a copy: good until the program runs again. */
  bytes(pointer: number, length: number): Uint8Array {
    const from = pointer >>> 0
    const count = length >>> 0
    this.#check(from, count)
    return new Uint8Array(this.#bytes.buffer, from, count)
  }

  copy(pointer: number, length: number): Uint8Array {
    return this.bytes(pointer, length).slice()
  }

  text(pointer: number, length: number): string {
    try {
      return decoder.decode(this.bytes(pointer, length))
    } catch (error) {
      if (error instanceof TypeError) return refuse(status.invalidArgument, 'not UTF-8')
      throw error
    }
  }

  /** One character a byte, as header fields are. */
  latin1(pointer: number, length: number): string {
    const from = pointer >>> 0
    const count = length >>> 0
    this.#check(from, count)
    return this.#bytes.toString('latin1', from, from + count)
  }

  readU32(pointer: number): number {
    return this.#at(pointer, 4).getUint32(pointer >>> 0, true)
  }

  readU64(pointer: number): bigint {
    return this.#at(pointer, 8).getBigUint64(pointer >>> 0, true)
  }

  u8(pointer: number, value: number): void {
    this.#at(pointer, 1).setUint8(pointer >>> 0, value)
  }

  u16(pointer: number, value: number): void {
    this.#at(pointer, 2).setUint16(pointer >>> 0, value, true)
  }

  u32(pointer: number, value: number): void {
    this.#at(pointer, 4).setUint32(pointer >>> 0, value, true)
  }

  f32(pointer: number, value: number): void {
    this.#at(pointer, 4).setFloat32(pointer >>> 0, value, true)
  }

  u64(pointer: number, value: bigint | number): void {
    this.#at(pointer, 8).setBigUint64(pointer >>> 0, typeof value === 'bigint' ? value : BigInt(value), true)
  }

  i64(pointer: number, value: bigint | number): void {
    this.#at(pointer, 8).setBigInt64(pointer >>> 0, BigInt(value), true)
  }

  write(pointer: number, bytes: Uint8Array): void {
    this.bytes(pointer, bytes.length).set(bytes)
  }

  /**
   * The usual way out for a value: into a buffer of `capacity`, its length to `written`. Too long: `buffer too small`, with
   * the length that is needed, so that the program may come back with a larger one.
   */
  give(value: Uint8Array | string, pointer: number, capacity: number, written: number): void {
    const length = typeof value === 'string' ? Buffer.byteLength(value) : value.length
    if (length > capacity >>> 0) {
      this.u32(written, length)
      refuse(status.bufferTooSmall)
    }
    if (typeof value === 'string') this.#writeText(pointer, value, length)
    else this.write(pointer, value)
    this.u32(written, length)
  }

  /**
   * Several values in one buffer, each ended by a zero byte, from the one that `cursor` counts; the next cursor (or -1 after
   * the last) to `endingCursor`, the bytes that were written to `written`.
   */
  giveMany(
    values: readonly (string | Uint8Array)[],
    pointer: number,
    capacity: number,
    cursor: number,
    endingCursor: number,
    written: number,
  ): void {
    let used = 0
    let at = cursor >>> 0
    const room = capacity >>> 0
    for (; at < values.length; at++) {
      const value = values[at]!
      const bytes = typeof value === 'string' ? Buffer.from(value, 'latin1') : value
      if (used + bytes.length + 1 > room) {
        if (used > 0) break
        this.u32(written, bytes.length + 1)
        this.i64(endingCursor, at)
        refuse(status.bufferTooSmall)
      }
      this.write(pointer + used, bytes)
      this.u8(pointer + used + bytes.length, 0)
      used += bytes.length + 1
    }
    this.u32(written, used)
    this.i64(endingCursor, at < values.length ? at : -1)
  }

  /** `length` is that of the text in UTF-8. */
  #writeText(pointer: number, text: string, length: number): void {
    const from = pointer >>> 0
    this.#check(from, length)
    this.#bytes.write(text, from, 'utf8')
  }

  #at(pointer: number, length: number): DataView {
    this.#check(pointer >>> 0, length)
    return this.#view
  }

  /** Both unsigned. */
  #check(from: number, length: number): void {
    this.#refresh()
    if (from + length > this.#bytes.length) refuse(status.invalidArgument, 'outside of memory')
  }

  /** A memory that grew has a new buffer. */
  #refresh(): void {
    if (this.#bytes.length > 0 && this.#bytes.buffer === this.#memory.buffer) return
    this.#bytes = Buffer.from(this.#memory.buffer)
    this.#view = new DataView(this.#memory.buffer)
  }
}
