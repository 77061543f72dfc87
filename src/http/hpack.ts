/**
 * HPACK, header compression for HTTP/2 (RFC 7541): a decoder with its table, and an encoder that needs none.
 */
import { decodeHuffman } from './hpack-huffman.ts'

/** Appendix A: name, value, name, value…; index 1 is the first pair. */
// biome-ignore format: one entry of the table a line, or two
const staticTable: readonly string[] = [
  ':authority', '', ':method', 'GET', ':method', 'POST', ':path', '/', ':path', '/index.html',
  ':scheme', 'http', ':scheme', 'https', ':status', '200', ':status', '204', ':status', '206',
  ':status', '304', ':status', '400', ':status', '404', ':status', '500', 'accept-charset', '',
  'accept-encoding', 'gzip, deflate', 'accept-language', '', 'accept-ranges', '', 'accept', '',
  'access-control-allow-origin', '', 'age', '', 'allow', '', 'authorization', '', 'cache-control', '',
  'content-disposition', '', 'content-encoding', '', 'content-language', '', 'content-length', '',
  'content-location', '', 'content-range', '', 'content-type', '', 'cookie', '', 'date', '', 'etag', '',
  'expect', '', 'expires', '', 'from', '', 'host', '', 'if-match', '', 'if-modified-since', '',
  'if-none-match', '', 'if-range', '', 'if-unmodified-since', '', 'last-modified', '', 'link', '',
  'location', '', 'max-forwards', '', 'proxy-authenticate', '', 'proxy-authorization', '', 'range', '',
  'referer', '', 'refresh', '', 'retry-after', '', 'server', '', 'set-cookie', '',
  'strict-transport-security', '', 'transfer-encoding', '', 'user-agent', '', 'vary', '', 'via', '',
  'www-authenticate', '',
]

const staticCount = staticTable.length / 2
/** Octets that §4.1 adds to each entry, and RFC 9113 §6.5.2 to each field. */
const overhead = 32

export interface HpackDecoder {
  /** The fields of a whole block, or undefined when it is malformed: a connection error, since the table is lost then. */
  decode(block: Buffer): DecodedFields | undefined
}

export interface DecodedFields {
  /** Name, value, name, value…; bytes as Latin-1. */
  readonly fields: string[]
  /** More or larger than allowed: the rest was decoded for the table only. */
  readonly tooLarge: boolean
}

export interface HpackDecoderOptions {
  /** What SETTINGS_HEADER_TABLE_SIZE says. */
  readonly tableBytes: number
  /** Names, values and 32 a field. */
  readonly listBytes: number
  readonly listCount: number
}

interface Table {
  readonly entries: string[]
  bytes: number
  limit: number
}

interface Reading {
  readonly block: Buffer
  at: number
}

export function createHpackDecoder({ tableBytes, listBytes, listCount }: HpackDecoderOptions): HpackDecoder {
  const table: Table = { entries: [], bytes: 0, limit: tableBytes }
  return {
    decode(block) {
      const reading: Reading = { block, at: 0 }
      const fields: string[] = []
      let bytes = 0
      let tooLarge = false
      let begun = false
      while (reading.at < block.length) {
        const byte = block[reading.at]!
        if ((byte & 0xe0) === 0x20) {
          const limit = readInteger(reading, 5)
          if (begun || limit < 0 || limit > tableBytes) return undefined
          table.limit = limit
          evict(table)
          continue
        }
        begun = true
        const field = byte & 0x80 ? indexed(reading, table) : literal(reading, table)
        if (field === undefined) return undefined
        bytes += field.name.length + field.value.length + overhead
        if (bytes > listBytes || fields.length >= listCount * 2) tooLarge = true
        else fields.push(field.name, field.value)
      }
      return { fields, tooLarge }
    },
  }
}

interface Field {
  readonly name: string
  readonly value: string
}

function entryAt(table: Table, index: number): Field | undefined {
  if (index <= 0) return undefined
  if (index <= staticCount) return { name: staticTable[index * 2 - 2]!, value: staticTable[index * 2 - 1]! }
  // The newest entry is the last of the list and has the lowest index.
  const at = table.entries.length - (index - staticCount) * 2
  return at < 0 ? undefined : { name: table.entries[at]!, value: table.entries[at + 1]! }
}

function indexed(reading: Reading, table: Table): Field | undefined {
  return entryAt(table, readInteger(reading, 7))
}

function literal(reading: Reading, table: Table): Field | undefined {
  const adds = (reading.block[reading.at]! & 0x40) !== 0
  const index = readInteger(reading, adds ? 6 : 4)
  if (index < 0) return undefined
  const name = index === 0 ? readString(reading) : entryAt(table, index)?.name
  const value = name === undefined ? undefined : readString(reading)
  if (name === undefined || value === undefined) return undefined
  if (adds) {
    table.entries.push(name, value)
    table.bytes += name.length + value.length + overhead
    evict(table)
  }
  return { name, value }
}

function evict(table: Table): void {
  let gone = 0
  while (table.bytes > table.limit) {
    table.bytes -= table.entries[gone]!.length + table.entries[gone + 1]!.length + overhead
    gone += 2
  }
  if (gone > 0) table.entries.splice(0, gone)
}

/** §5.1; -1 when the block ends inside it, or beyond 28 bits. */
function readInteger(reading: Reading, prefix: number): number {
  const { block } = reading
  const mask = (1 << prefix) - 1
  let value = block[reading.at++]! & mask
  if (value < mask) return value
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = block[reading.at++]
    if (byte === undefined) return -1
    value += (byte & 0x7f) << shift
    if (byte < 0x80) return value
  }
  return -1
}

/** §5.2. */
function readString(reading: Reading): string | undefined {
  const { block } = reading
  const first = block[reading.at]
  if (first === undefined) return undefined
  const length = readInteger(reading, 7)
  const from = reading.at
  const to = from + length
  if (length < 0 || to > block.length) return undefined
  reading.at = to
  if (first < 0x80) return block.toString('latin1', from, to)
  // The shortest code has five bits.
  const target = Buffer.allocUnsafe(Math.ceil((length * 8) / 5))
  const decoded = decodeHuffman(block, from, to, target)
  return decoded < 0 ? undefined : target.toString('latin1', 0, decoded)
}

const nameIndexes: ReadonlyMap<string, number> = (() => {
  const indexes = new Map<string, number>()
  for (let index = staticCount; index >= 1; index--) indexes.set(staticTable[index * 2 - 2]!, index)
  return indexes
})()

const statusIndexes: ReadonlyMap<number, number> = new Map(
  [8, 9, 10, 11, 12, 13, 14].map((index) => [Number(staticTable[index * 2 - 1]), index]),
)

/** Names whose beginning of a field is kept; more than all the names that answers have. */
const keptNames = 512
const keptNameBytes = 64
const beginnings = new Map<string, string>()
/** One character a length below that of the prefix's last value. */
const shortLengths: readonly string[] = Array.from({ length: 127 }, (_, length) => String.fromCharCode(length))

/**
 * The block of an answer as Latin-1 text, a character a byte: names from the static table, values as they are. All of
 * `headers` must be Latin-1. Without a table of its own it costs no memory a connection and can reveal nothing. Text,
 * because joining strings and writing them once costs two thirds of writing each field.
 */
export function headBlock(status: number | undefined, headers: readonly string[]): string {
  // Trailers have none.
  if (status === undefined) return fieldsBlock(headers, 0)
  const known = statusIndexes.get(status)
  const text = known === undefined ? `\x08${stringOf(String(status))}` : String.fromCharCode(0x80 | known)
  return text + fieldsBlock(headers, 0)
}

/** The fields from index `from` on, as a part of such a block. */
export function fieldsBlock(headers: readonly string[], from: number): string {
  let text = ''
  for (let index = from; index < headers.length; index += 2) {
    const name = headers[index]!
    const value = headers[index + 1]!
    const length = value.length < 127 ? shortLengths[value.length]! : integer(0, 7, value.length)
    text += (beginnings.get(name) ?? beginningOf(name)) + length + value
  }
  return text
}

/** All of a field but its value: its form and its name, in lower case (RFC 9113 §8.2.1). */
function beginningOf(given: string): string {
  const name = given.toLowerCase()
  // Never indexed (§6.2.3), so that no hop puts it in a table either.
  const form = name === 'set-cookie' ? 0x10 : 0x00
  const nameIndex = nameIndexes.get(name)
  const beginning = nameIndex === undefined ? String.fromCharCode(form) + stringOf(name) : integer(form, 4, nameIndex)
  if (beginnings.size < keptNames && given.length <= keptNameBytes) beginnings.set(given, beginning)
  return beginning
}

/** §5.1, behind the bits of `first`. */
function integer(first: number, prefix: number, value: number): string {
  const mask = (1 << prefix) - 1
  if (value < mask) return String.fromCharCode(first | value)
  let text = String.fromCharCode(first | mask)
  let rest = value - mask
  for (; rest >= 0x80; rest >>>= 7) text += String.fromCharCode((rest & 0x7f) | 0x80)
  return text + String.fromCharCode(rest)
}

/** §5.2, not Huffman. */
function stringOf(text: string): string {
  return integer(0, 7, text.length) + text
}
