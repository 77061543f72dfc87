/** An event as bytes, for cells and for other nodes: 4 bytes length of its JSON, the JSON, the bodies of its messages. */
import type { ProgramEvent, QueueMessage } from './program-events.ts'

export function encodeEvent(event: ProgramEvent): Uint8Array {
  const bodies = event.kind === 'queue' ? event.messages.map(({ body }) => body) : []
  const told =
    event.kind === 'queue'
      ? { ...event, messages: event.messages.map(({ body, ...head }) => ({ ...head, bytes: body.length })) }
      : event
  const head = Buffer.from(JSON.stringify(told))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(head.length)
  return Buffer.concat([length, head, ...bodies])
}

/** Only what `encodeEvent` made. */
export function decodeEvent(bytes: Uint8Array): ProgramEvent {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 4 + all.readUInt32BE(0)
  const event = JSON.parse(all.subarray(4, at).toString()) as ProgramEvent
  if (event.kind !== 'queue') return event
  const heads = event.messages as unknown as (Omit<QueueMessage, 'body'> & { readonly bytes: number })[]
  const messages = heads.map(({ bytes: size, ...head }) => {
    at += size
    return { ...head, body: all.subarray(at - size, at) }
  })
  return { ...event, messages }
}
