/** A stored message and what our headers on it say. */
import type { EpochMs } from '#/core/units.ts'

/** As `$JS.API.STREAM.MSG.GET` gives it, or a consumer. */
export interface StoredMessage {
  readonly subject: string
  readonly sequence: number
  /** When the stream took it, by the clock of its server. */
  readonly time: EpochMs
  readonly headers: ReadonlyMap<string, string>
  readonly data: Uint8Array
}

export const headerNames = {
  id: 'Nats-Msg-Id',
  expected: 'Nats-Expected-Last-Subject-Sequence',
  expiresAt: 'Rimward-Expires',
  deleted: 'Rimward-Deleted',
  parts: 'Rimward-Parts',
  sum: 'Rimward-Sum',
} as const

/** `hdrs` of a stored message: `NATS/1.0`, then a line for each field, in base64. */
export function readHeaders(encoded: string | undefined): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  if (encoded === undefined) return headers
  for (const line of Buffer.from(encoded, 'base64').toString().split('\r\n').slice(1)) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.set(line.slice(0, colon), line.slice(colon + 1).trim())
  }
  return headers
}

/** What a record says besides its bytes. */
export interface Head {
  readonly sequence: number
  readonly deleted: boolean
  readonly expiresAt?: EpochMs
  /** The value lies in parts. */
  readonly parts?: PartList
}

export interface PartList {
  readonly id: string
  readonly count: number
  readonly bytes: number
}

export function readHead(message: StoredMessage): Head {
  const expires = message.headers.get(headerNames.expiresAt)
  const parts = message.headers.get(headerNames.parts)
  return {
    sequence: message.sequence,
    deleted: message.headers.has(headerNames.deleted),
    ...(expires === undefined ? {} : { expiresAt: Number(expires) }),
    ...(parts === undefined ? {} : { parts: readParts(parts) }),
  }
}

/** Neither deleted nor expired. */
export function isLive(head: Head, now: EpochMs): boolean {
  return !head.deleted && (head.expiresAt === undefined || head.expiresAt > now)
}

export function writeParts({ id, count, bytes }: PartList): string {
  return `${id} ${count} ${bytes}`
}

function readParts(text: string): PartList {
  const [id = '', count, bytes] = text.split(' ')
  return { id, count: Number(count), bytes: Number(bytes) }
}
