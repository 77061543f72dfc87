/**
 * The first message of a TLS client (RFC 8446 §4.1.2), read from bytes that anybody may send: every length is checked, and
 * what does not fit is no ClientHello.
 */

/** The handshake message with its four bytes of type and length; `more`: not all of it has come; `none`: it is something else. */
export type GatheredHello = Uint8Array | 'more' | 'none'

const recordHeadBytes = 5
const messageHeadBytes = 4
const handshakeRecord = 22
const clientHelloMessage = 1

/** Puts the message together from its records (RFC 8446 §5.1), which may cut it anywhere; a copy. One above `most` bytes is `none`. */
export function gatherHello(bytes: Uint8Array, most: number): GatheredHello {
  const parts: Uint8Array[] = []
  let gathered = 0
  let wanted = Number.POSITIVE_INFINITY
  for (let at = 0; gathered < wanted; ) {
    if (at < bytes.length && bytes[at] !== handshakeRecord) return 'none'
    if (at + 1 < bytes.length && bytes[at + 1] !== 3) return 'none'
    if (at + recordHeadBytes > bytes.length) return 'more'
    const length = (bytes[at + 3]! << 8) | bytes[at + 4]!
    if (length === 0) return 'none'
    const part = bytes.subarray(at + recordHeadBytes, at + recordHeadBytes + length)
    parts.push(part)
    gathered += part.length
    wanted = wantedBytes(parts, gathered)
    if (wanted < 0 || wanted - messageHeadBytes > most) return 'none'
    if (part.length < length && gathered < wanted) return 'more'
    at += recordHeadBytes + length
  }
  return parts.length === 1 ? Buffer.from(parts[0]!.subarray(0, wanted)) : Buffer.concat(parts, wanted)
}

/** Bytes of the message, or no limit while its head is not whole; -1 when it is another message. */
function wantedBytes(parts: readonly Uint8Array[], gathered: number): number {
  const head = parts.length === 1 ? parts[0]! : Buffer.concat(parts, Math.min(gathered, messageHeadBytes))
  if (gathered > 0 && head[0] !== clientHelloMessage) return -1
  if (gathered < messageHeadBytes) return messageHeadBytes
  return messageHeadBytes + ((head[1]! << 16) | (head[2]! << 8) | head[3]!)
}

/** Numbers as on the wire, in their order, GREASE (RFC 8701) included. */
export interface ClientHello {
  /** Of the message itself, which newer clients leave at TLS 1.2. */
  readonly version: number
  /** 32 bytes. */
  readonly random: Uint8Array
  readonly ciphers: readonly number[]
  readonly extensions: readonly number[]
  readonly serverName: string | undefined
  /** Names of protocols, one character a byte. */
  readonly protocols: readonly string[]
  /** `supported_versions`. */
  readonly versions: readonly number[]
  readonly groups: readonly number[]
  readonly pointFormats: readonly number[]
  readonly signatures: readonly number[]
}

/** RFC 8701: 0x0a0a, 0x1a1a … 0xfafa mean nothing. */
export function isGrease(number: number): boolean {
  return (number & 0x0f0f) === 0x0a0a && number >> 8 === (number & 255)
}

/** Reads forward only; whoever asks for more than there is makes it `broken`. */
class Reader {
  readonly bytes: Uint8Array
  at = 0
  broken = false

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  number(width: 1 | 2 | 3): number {
    const { bytes, at } = this
    if (width > bytes.length - at) {
      this.broken = true
      this.at = bytes.length
      return 0
    }
    this.at += width
    let value = bytes[at]!
    for (let next = at + 1; next < this.at; next++) value = value * 256 + bytes[next]!
    return value
  }

  take(length: number): Uint8Array {
    if (length > this.left) {
      this.broken = true
      this.at = this.bytes.length
      return this.bytes.subarray(this.at)
    }
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  /** What a length of so many bytes announces. */
  vector(width: 1 | 2 | 3): Reader {
    const inner = new Reader(this.take(this.number(width)))
    if (this.broken) inner.broken = true
    return inner
  }

  numbers(width: 1 | 2): number[] {
    const found: number[] = []
    while (this.left > 0) found.push(this.number(width))
    return found
  }
}

/** Undefined for what is no ClientHello. `message` is what `gatherHello` gives. */
export function parseClientHello(message: Uint8Array): ClientHello | undefined {
  const outer = new Reader(message)
  if (outer.number(1) !== clientHelloMessage) return undefined
  const body = outer.vector(3)
  const version = body.number(2)
  const random = body.take(32)
  body.vector(1)
  const suites = body.vector(2)
  const ciphers = suites.numbers(2)
  body.vector(1)
  if (outer.broken || body.broken || suites.broken) return undefined
  const found: Found = {}
  const extensions = body.left === 0 ? [] : readExtensions(body, found)
  if (extensions === undefined) return undefined
  return {
    ...{ version, random, ciphers, extensions, serverName: found.serverName, protocols: found.protocols ?? [] },
    ...{ versions: found.versions ?? [], groups: found.groups ?? [], pointFormats: found.pointFormats ?? [] },
    signatures: found.signatures ?? [],
  }
}

type Found = { -readonly [Key in keyof ClientHello]?: ClientHello[Key] }

/** Their numbers; undefined when one of them is cut off. */
function readExtensions(body: Reader, found: Found): number[] | undefined {
  const all = body.vector(2)
  const numbers: number[] = []
  while (all.left > 0) {
    const number = all.number(2)
    const content = all.vector(2)
    if (content.broken || !readExtension(number, content, found)) return undefined
    numbers.push(number)
  }
  return all.broken || body.broken ? undefined : numbers
}

/** False when its content does not have its form. */
function readExtension(number: number, content: Reader, found: Found): boolean {
  if (number === 0) return readServerName(content, found)
  if (number === 16) return readProtocols(content, found)
  const width = number === 11 || number === 43 ? 1 : 2
  if (![10, 11, 13, 43].includes(number)) return true
  const list = content.vector(width)
  const values = list.numbers(number === 11 ? 1 : 2)
  if (number === 10) found.groups = values
  else if (number === 11) found.pointFormats = values
  else if (number === 13) found.signatures = values
  else found.versions = values
  return !list.broken
}

/** RFC 6066 §3: the only kind of name there is is that of a host. */
function readServerName(content: Reader, found: Found): boolean {
  const names = content.vector(2)
  while (names.left > 0) {
    const kind = names.number(1)
    const name = names.vector(2)
    if (name.broken) return false
    if (kind === 0) found.serverName ??= Buffer.from(name.bytes).toString('latin1')
  }
  return !names.broken
}

/** RFC 7301 §3.1. */
function readProtocols(content: Reader, found: Found): boolean {
  const list = content.vector(2)
  const names: string[] = []
  while (list.left > 0) {
    const name = list.vector(1)
    if (name.broken) return false
    names.push(Buffer.from(name.bytes).toString('latin1'))
  }
  found.protocols = names
  return !list.broken
}
