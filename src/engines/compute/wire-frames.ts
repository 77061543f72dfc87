/** Bytes of the frames of a line; see `wire.ts`. */
import { PackedHead } from './packed-head.ts'
import type { CallFailure, Head, SentBody } from './wire-messages.ts'

export const frameType = {
  call: 1,
  reply: 2,
  note: 3,
  data: 4,
  end: 5,
  fail: 6,
  cancel: 7,
  credit: 8,
  tell: 9,
} as const
export const ofReceiver = 0x80
/** Length, type and call. */
const frameHeadBytes = 9
/** The least that a frame's length may say. */
export const leastLength = frameHeadBytes - 4

export const noBody = 0
export const inlineBody = 1
export const streamBody = 2
const bodyBits = 3
/** The head is packed, not JSON. */
const packedBit = 4
/** Kind and length of the head. */
const messageHeadBytes = 5

export const empty = Buffer.alloc(0)
const emptyHead: Head = {}

const slabBytes = 64 * 1024

/** Frames on their way out: written one behind the other, so that they leave in one write. */
export class Outbox {
  /** How many wait. */
  frames = 0
  #slab: Buffer = empty
  #from = 0
  #at = 0
  /** What waits in slabs before this one. */
  #before: Buffer[] = []

  /** Of a call, a reply, a note. */
  addMessage(type: number, id: number, head: Head | PackedHead, body: SentBody): void {
    const inline = body instanceof Uint8Array ? body : empty
    const kind = body === null ? noBody : body === 'stream' ? streamBody : inlineBody
    const json = head instanceof PackedHead ? undefined : JSON.stringify(head)
    const most = json === undefined ? (head as PackedHead).mostBytes : Buffer.byteLength(json)
    const start = this.#open(messageHeadBytes + most + inline.length)
    const slab = this.#slab
    const headAt = start + frameHeadBytes + messageHeadBytes
    const headBytes =
      json === undefined ? (head as PackedHead).write(slab, headAt) : slab.write(json, headAt, most, 'utf8')
    slab[headAt - messageHeadBytes] = json === undefined ? kind | packedBit : kind
    slab.writeUInt32LE(headBytes, headAt - messageHeadBytes + 1)
    if (inline.length > 0) slab.set(inline, headAt + headBytes)
    this.#close(start, type, id, messageHeadBytes + headBytes + inline.length)
  }

  /** Of bytes as they are. */
  add(type: number, id: number, payload: Uint8Array): void {
    const start = this.#open(payload.length)
    if (payload.length > 0) this.#slab.set(payload, start + frameHeadBytes)
    this.#close(start, type, id, payload.length)
  }

  /** Everything that waits, in order. Its bytes stay as they are. */
  take(): Buffer[] {
    const parts = this.#before
    this.#before = []
    if (this.#at > this.#from) parts.push(this.#slab.subarray(this.#from, this.#at))
    this.#from = this.#at
    this.frames = 0
    return parts
  }

  /** Makes room for so many bytes of payload; where the frame begins. */
  #open(most: number): number {
    const bytes = frameHeadBytes + most
    if (this.#slab.length - this.#at < bytes) {
      if (this.#at > this.#from) this.#before.push(this.#slab.subarray(this.#from, this.#at))
      this.#slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, bytes))
      this.#from = 0
      this.#at = 0
    }
    return this.#at
  }

  #close(start: number, type: number, id: number, payloadBytes: number): void {
    const slab = this.#slab
    slab.writeUInt32LE(frameHeadBytes - 4 + payloadBytes, start)
    slab[start + 4] = type
    slab.writeUInt32LE(id, start + 5)
    this.#at = start + frameHeadBytes + payloadBytes
    this.frames++
  }
}

export interface ReadMessage {
  /** Empty where it is packed. */
  readonly head: Head
  readonly packed: PackedHead | undefined
  readonly kind: number
  readonly body: Buffer | null
}

/** From the payload between two offsets. Throws where it is not a message. */
export function readMessage(bytes: Buffer, from: number, end: number): ReadMessage {
  if (end - from < messageHeadBytes) throw new Error('a message without a head')
  const kind = bytes[from]! & bodyBits
  const headAt = from + messageHeadBytes
  const bodyAt = headAt + bytes.readUInt32LE(from + 1)
  if (bodyAt > end) throw new Error('a head that is longer than its frame')
  const isPacked = (bytes[from]! & packedBit) !== 0
  const packed = isPacked ? PackedHead.read(bytes, headAt, bodyAt) : undefined
  const head = isPacked ? emptyHead : readJsonHead(bytes, headAt, bodyAt)
  return { head, packed, kind, body: kind === inlineBody ? bytes.subarray(bodyAt, end) : null }
}

function readJsonHead(bytes: Buffer, from: number, end: number): Head {
  const head: unknown = JSON.parse(bytes.toString('utf8', from, end))
  if (typeof head !== 'object' || head === null) throw new Error('a head that is no object')
  return head as Head
}

export function failureBytes({ code, message }: CallFailure): Buffer {
  return Buffer.from(JSON.stringify({ code, message }))
}

/** Throws where it is not a failure. */
export function readFailure(payload: Buffer): { readonly code: string; readonly message: string } {
  const { code, message } = JSON.parse(payload.toString()) as { code: unknown; message: unknown }
  if (typeof code !== 'string' || typeof message !== 'string') throw new Error('a failure without words')
  return { code, message }
}

/** Throws where they are not names and values in turn. */
export function readTrailers(payload: Buffer): string[] | undefined {
  if (payload.length === 0) return undefined
  const trailers: unknown = JSON.parse(payload.toString())
  const areTexts = Array.isArray(trailers) && trailers.every((text) => typeof text === 'string')
  if (!areTexts || trailers.length % 2 !== 0) throw new Error('trailers that are no fields')
  return trailers
}
