/** WebSocket frames as a server reads and writes them, RFC 6455 §5; no extensions. */
import { createHash } from 'node:crypto'

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const
export type Opcode = (typeof opcodes)[keyof typeof opcodes]

export interface Frame {
  readonly fin: boolean
  readonly opcode: Opcode
  readonly payload: Buffer
}

/** §7.4.1: 1002 protocol error, 1007 not UTF-8, 1009 too big. */
export interface Violation {
  readonly kind: 'violation'
  readonly code: 1002 | 1007 | 1009
  readonly why: string
}

/** What the other side sent, whole messages and control frames in order. */
export type Incoming =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'binary'; readonly bytes: Buffer }
  | { readonly kind: 'ping' | 'pong'; readonly payload: Buffer }
  /** `code` 1005: the frame had none. */
  | { readonly kind: 'close'; readonly code: number; readonly reason: string }
  | Violation

function violation(code: Violation['code'], why: string): Violation {
  return { kind: 'violation', code, why }
}

function isOpcode(value: number): value is Opcode {
  return value <= 2 || (value >= 8 && value <= 10)
}

/** Payload length and where it ends (§5.2), before the masking key. */
function readLength(bytes: Buffer): { length: number; end: number } | 'incomplete' | Violation {
  const short = bytes[1]! & 0x7f
  if (short < 126) return { length: short, end: 2 }
  if (short === 126) {
    if (bytes.length < 4) return 'incomplete'
    const length = bytes.readUInt16BE(2)
    return length < 126 ? violation(1002, 'length not in its shortest form') : { length, end: 4 }
  }
  if (bytes.length < 10) return 'incomplete'
  const high = bytes.readUInt32BE(2)
  if (high >= 0x80000000) return violation(1002, 'length with its highest bit set')
  const length = high * 2 ** 32 + bytes.readUInt32BE(6)
  return length < 65536 ? violation(1002, 'length not in its shortest form') : { length, end: 10 }
}

function unmask(payload: Buffer, key: Buffer): Buffer {
  const plain = Buffer.allocUnsafe(payload.length)
  for (let index = 0; index < payload.length; index++) plain[index] = payload[index]! ^ key[index & 3]!
  return plain
}

/**
 * Reads one frame from the start of `bytes`; `used` says how many bytes it took. Unmasked frames are taken too, although
 * §5.1 has servers refuse them: wrangler sends its first message unmasked.
 */
export function readFrame(
  bytes: Buffer,
  maxBytes: number,
):
  | { readonly kind: 'frame'; readonly frame: Frame; readonly used: number }
  | { readonly kind: 'incomplete' }
  | Violation {
  if (bytes.length < 2) return { kind: 'incomplete' }
  const first = bytes[0]!
  const opcode = first & 0x0f
  const fin = (first & 0x80) !== 0
  if ((first & 0x70) !== 0) return violation(1002, 'reserved bits are set')
  if (!isOpcode(opcode)) return violation(1002, `unknown opcode ${opcode}`)
  if (opcode >= 8 && (!fin || (bytes[1]! & 0x7f) > 125)) return violation(1002, 'long or fragmented control frame')
  const size = readLength(bytes)
  if (size === 'incomplete') return { kind: 'incomplete' }
  if ('kind' in size) return size
  if (size.length > maxBytes) return violation(1009, `frame of ${size.length} bytes, at most ${maxBytes} are taken`)
  const masked = (bytes[1]! & 0x80) !== 0
  const start = size.end + (masked ? 4 : 0)
  const used = start + size.length
  if (bytes.length < used) return { kind: 'incomplete' }
  const raw = bytes.subarray(start, used)
  const payload = masked ? unmask(raw, bytes.subarray(size.end, start)) : Buffer.from(raw)
  return { kind: 'frame', frame: { fin, opcode, payload }, used }
}

/** A frame as servers send it, unmasked; with `mask` (4 bytes) as clients do. */
export function writeFrame(
  opcode: Opcode,
  payload: Uint8Array,
  { fin = true, mask }: { readonly fin?: boolean; readonly mask?: Buffer } = {},
): Buffer {
  const bit = mask === undefined ? 0 : 0x80
  const length = payload.length
  let head: Buffer
  if (length < 126) head = Buffer.from([0, bit | length])
  else if (length < 65536) {
    head = Buffer.from([0, bit | 126, 0, 0])
    head.writeUInt16BE(length, 2)
  } else {
    head = Buffer.alloc(10)
    head[1] = bit | 127
    head.writeBigUInt64BE(BigInt(length), 2)
  }
  head[0] = (fin ? 0x80 : 0) | opcode
  return mask === undefined
    ? Buffer.concat([head, payload])
    : Buffer.concat([head, mask, unmask(Buffer.from(payload), mask)])
}

/** §5.5.1. The reason is cut to what a control frame carries. */
export function closeFrame(code: number, reason: string): Buffer {
  let text = Buffer.from(reason, 'utf8')
  if (text.length > 123) text = Buffer.from(new TextDecoder().decode(text.subarray(0, 120)).replace(/\ufffd+$/, ''))
  const head = Buffer.alloc(2)
  head.writeUInt16BE(code)
  return writeFrame(opcodes.close, Buffer.concat([head, text]))
}

/** §7.4: codes that may be on the wire. */
function closeCodeFits(code: number): boolean {
  if (code >= 3000 && code <= 4999) return true
  return code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)
}

function decodeText(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function readClose(payload: Buffer): Incoming {
  if (payload.length === 0) return { kind: 'close', code: 1005, reason: '' }
  if (payload.length === 1) return violation(1002, 'close frame with half a code')
  const code = payload.readUInt16BE(0)
  if (!closeCodeFits(code)) return violation(1002, `close code ${code}`)
  const reason = decodeText(payload.subarray(2))
  return reason === undefined ? violation(1007, 'close reason is not UTF-8') : { kind: 'close', code, reason }
}

export interface FrameReader {
  /** Everything that is complete with these bytes. Nothing more comes after a violation or a close. */
  push(chunk: Uint8Array): Incoming[]
}

/** Puts fragments together (§5.4). `maxBytes`: the largest message. */
export function createFrameReader({ maxBytes }: { readonly maxBytes: number }): FrameReader {
  let pending: Buffer = Buffer.alloc(0)
  let fragments: Buffer[] = []
  let fragmented: 'text' | 'binary' | undefined
  let ended = false

  function whole(kind: 'text' | 'binary', bytes: Buffer): Incoming {
    if (kind === 'binary') return { kind, bytes }
    const text = decodeText(bytes)
    return text === undefined ? violation(1007, 'text message is not UTF-8') : { kind, text }
  }

  function data({ fin, opcode, payload }: Frame): Incoming | undefined {
    if (opcode === opcodes.continuation) {
      if (fragmented === undefined) return violation(1002, 'continuation of nothing')
      const length = fragments.reduce((sum, fragment) => sum + fragment.length, payload.length)
      if (length > maxBytes || fragments.length >= 1024)
        return violation(1009, 'message too large or in too many parts')
      fragments.push(payload)
      if (!fin) return undefined
      const kind = fragmented
      const bytes = Buffer.concat(fragments)
      fragmented = undefined
      fragments = []
      return whole(kind, bytes)
    }
    if (fragmented !== undefined) return violation(1002, 'new message inside another')
    const kind = opcode === opcodes.text ? 'text' : 'binary'
    if (fin) return whole(kind, payload)
    fragmented = kind
    fragments = [payload]
    return undefined
  }

  function meaning(frame: Frame): Incoming | undefined {
    if (frame.opcode === opcodes.close) return readClose(frame.payload)
    if (frame.opcode === opcodes.ping) return { kind: 'ping', payload: frame.payload }
    if (frame.opcode === opcodes.pong) return { kind: 'pong', payload: frame.payload }
    return data(frame)
  }

  return {
    push(chunk) {
      const found: Incoming[] = []
      if (ended) return found
      pending = pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([pending, chunk])
      while (!ended) {
        const read = readFrame(pending, maxBytes)
        if (read.kind === 'incomplete') break
        const incoming = read.kind === 'frame' ? meaning(read.frame) : read
        if (read.kind === 'frame') pending = pending.subarray(read.used)
        if (incoming !== undefined) found.push(incoming)
        ended = incoming?.kind === 'violation' || incoming?.kind === 'close'
      }
      return found
    },
  }
}

/** `Sec-WebSocket-Accept` for a key, §4.2.2. */
export function acceptKey(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}
