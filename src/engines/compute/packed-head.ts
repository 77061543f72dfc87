/** Heads that each request has, as numbers and texts: a third of what JSON costs to write and to read. */

/** In bytes: how many numbers and how many texts there are, u16 each. */
const countBytes = 4
const most = 0xffff

/**
 * Bytes: `u16 numbers · u16 texts · u32 each number · u32 each text's length in UTF-16 · all texts in UTF-8`. Numbers have 32
 * bits.
 */
export class PackedHead {
  readonly numbers: readonly number[]
  readonly texts: readonly string[]

  /** Throws a RangeError for more than 65,535 of either. */
  constructor(numbers: readonly number[], texts: readonly string[]) {
    if (numbers.length > most || texts.length > most) throw new RangeError('too much for one head')
    this.numbers = numbers
    this.texts = texts
  }

  /** It takes no more than these. */
  get mostBytes(): number {
    let length = 0
    for (const text of this.texts) length += text.length
    return countBytes + 4 * (this.numbers.length + this.texts.length) + 3 * length
  }

  /** Returns how many bytes it took. */
  write(bytes: Buffer, start: number): number {
    const { numbers, texts } = this
    bytes.writeUInt16LE(numbers.length, start)
    bytes.writeUInt16LE(texts.length, start + 2)
    let at = start + countBytes
    for (const number of numbers) at = bytes.writeUInt32LE(number, at)
    let all = ''
    for (const text of texts) {
      all += text
      at = bytes.writeUInt32LE(text.length, at)
    }
    return at + bytes.write(all, at, 'utf8') - start
  }

  /** Throws where the bytes between two offsets are not one. */
  static read(bytes: Buffer, start: number, end: number): PackedHead {
    if (end - start < countBytes) throw new Error('a packed head without counts')
    const numbers: number[] = new Array(bytes.readUInt16LE(start))
    const texts: string[] = new Array(bytes.readUInt16LE(start + 2))
    let at = start + countBytes
    const textAt = at + 4 * (numbers.length + texts.length)
    if (textAt > end) throw new Error('a packed head that is shorter than its counts')
    for (let index = 0; index < numbers.length; index++, at += 4) numbers[index] = bytes.readUInt32LE(at)
    const all = bytes.toString('utf8', textAt, end)
    let from = 0
    for (let index = 0; index < texts.length; index++, at += 4) {
      const to = from + bytes.readUInt32LE(at)
      texts[index] = all.slice(from, to)
      from = to
    }
    if (from !== all.length) throw new Error('a packed head of another length than its texts')
    return new PackedHead(numbers, texts)
  }
}
