/** Bytes of the frames of a line; see `wire.ts`. */
import type { CallFailure, Head } from './wire-messages.ts'

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
export const headOf = 9
export const noBody = 0
export const inlineBody = 1
export const streamBody = 2

export const empty = Buffer.alloc(0)

export function writeHead(frame: Buffer, type: number, id: number): void {
  frame.writeUInt32LE(frame.length - 4, 0)
  frame[4] = type
  frame.writeUInt32LE(id, 5)
}

export function readMessage(payload: Buffer): { head: Head; kind: number; body: Buffer } {
  const length = payload.readUInt32LE(1)
  if (length > payload.length - 5) throw new Error('a head that is longer than its frame')
  const head = JSON.parse(payload.toString('utf8', 5, 5 + length)) as Head
  return { head, kind: payload[0]!, body: payload.subarray(5 + length) }
}

export function failureBytes({ code, message }: CallFailure): Buffer {
  return Buffer.from(JSON.stringify({ code, message }))
}
