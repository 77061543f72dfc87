const utf8 = new TextEncoder()

/** Grows a buffer by pieces: whole ranges of another module, integers in LEB128, names. */
export class ByteWriter {
  #bytes: Uint8Array
  at = 0

  /** `expectedBytes` spares copies where the size is nearly known. */
  constructor(expectedBytes: number) {
    this.#bytes = new Uint8Array(Math.max(expectedBytes, 64))
  }

  byte(value: number): void {
    if (this.at === this.#bytes.length) this.#grow(1)
    this.#bytes[this.at++] = value
  }

  u32(value: number): void {
    let rest = value
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80)
      rest = Math.floor(rest / 128)
    }
    this.byte(rest)
  }

  copy(from: Uint8Array, start = 0, end = from.length): void {
    if (this.at + end - start > this.#bytes.length) this.#grow(end - start)
    if (end - start < 48) for (let at = start; at < end; at++) this.#bytes[this.at++] = from[at]!
    else {
      this.#bytes.set(from.subarray(start, end), this.at)
      this.at += end - start
    }
  }

  name(text: string): void {
    const bytes = utf8.encode(text)
    this.u32(bytes.length)
    this.copy(bytes)
  }

  /** A section: its id, the size of its content, the content. */
  section(id: number, content: ByteWriter): void {
    this.byte(id)
    this.u32(content.at)
    this.copy(content.#bytes, 0, content.at)
  }

  done(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.at)
  }

  #grow(more: number): void {
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.at + more))
    larger.set(this.#bytes.subarray(0, this.at))
    this.#bytes = larger
  }
}

/** How many bytes `u32` writes. */
export function u32Length(value: number): number {
  let length = 1
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) length++
  return length
}
