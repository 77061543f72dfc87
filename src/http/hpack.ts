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

/** The most bytes that `encodeHead` may write. */
export function headBound(headers: readonly string[]): number {
  let bytes = 16
  for (const text of headers) bytes += text.length + 6
  return bytes
}

/**
 * Writes the block of an answer, or of trailers where there is no status, and returns where it ends: names from the static table, values as they are. Names must be
 * lower case already and all text Latin-1. Without a table of its own it costs no memory a connection and can reveal nothing.
 */
export function encodeHead(
  target: Buffer,
  from: number,
  status: number | undefined,
  headers: readonly string[],
): number {
  let at = from
  const known = status === undefined ? undefined : statusIndexes.get(status)
  if (known !== undefined) target[at++] = 0x80 | known
  else if (status !== undefined) {
    target[at++] = 0x08
    at = writeString(target, at, String(status))
  }
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    const nameIndex = nameIndexes.get(name)
    // Never indexed (§6.2.3), so that no hop puts it in a table either.
    const form = name === 'set-cookie' ? 0x10 : 0x00
    if (nameIndex === undefined) {
      target[at++] = form
      at = writeString(target, at, name)
    } else at = writeInteger(target, at, form, 4, nameIndex)
    at = writeString(target, at, headers[index + 1]!)
  }
  return at
}

function writeInteger(target: Buffer, from: number, first: number, prefix: number, value: number): number {
  const mask = (1 << prefix) - 1
  let at = from
  if (value < mask) {
    target[at++] = first | value
    return at
  }
  target[at++] = first | mask
  let rest = value - mask
  for (; rest >= 0x80; rest >>>= 7) target[at++] = (rest & 0x7f) | 0x80
  target[at++] = rest
  return at
}

function writeString(target: Buffer, from: number, text: string): number {
  const at = writeInteger(target, from, 0, 7, text.length)
  return at + target.write(text, at, 'latin1')
}
