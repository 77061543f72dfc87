/**
 * What is too large for one message, in several, each with a checksum. Parts are written first and named by a record
 * afterwards: until then they are nobody's.
 */
import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Limits } from '#/core/limits.ts'
import type { EpochMs } from '#/core/units.ts'
import type { Line } from './line.ts'
import { headerNames, type PartList } from './message.ts'

export interface Parts {
  /** `owner`: a bucket's token, or nothing. What a failing source left is removed. */
  write(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, now: EpochMs, owner?: string): Promise<PartList>
  /** `undefined` when it is not there; rejects when its checksum is wrong. */
  read(list: PartList, index: number, owner?: string): Promise<Uint8Array | undefined>
  remove(list: Pick<PartList, 'id'>, owner?: string): Promise<void>
}

export class DamagedParts extends Error {
  constructor(id: string, index: number) {
    super(`Part ${index} of ${id} is damaged.`)
    this.name = 'DamagedParts'
  }
}

/** Parts on their way to JetStream at once. */
const window = 8

export function createParts(line: Line, stream: string, root: string, limits: Pick<Limits, 'natsPartBytes'>): Parts {
  const subjectOf = (id: string, owner: string | undefined, index: number | '*') =>
    owner === undefined ? `${root}.${id}.${index}` : `${root}.${owner}.${id}.${index}`

  async function send(subject: string, data: Uint8Array): Promise<void> {
    await line.write(stream, subject, data, { headers: { [headerNames.sum]: crc32(data).toString(16) } })
  }

  async function remove({ id }: Pick<PartList, 'id'>, owner?: string): Promise<void> {
    await line.call(`STREAM.PURGE.${stream}`, { filter: subjectOf(id, owner, '*') })
  }

  return {
    async write(source, now, owner) {
      const id = `${now.toString(36)}-${randomBytes(9).toString('hex')}`
      const sending: Promise<void>[] = []
      let count = 0
      let bytes = 0
      try {
        for await (const part of cut(source, limits.natsPartBytes)) {
          const sent = send(subjectOf(id, owner, count), part)
          // Awaited below; a failure in between is not unhandled.
          sent.catch(() => {})
          sending.push(sent)
          count++
          bytes += part.length
          if (sending.length >= window) await sending.shift()
        }
        await Promise.all(sending)
        return { id, count, bytes }
      } catch (error) {
        await Promise.allSettled(sending)
        await remove({ id }, owner).catch(() => {})
        throw error
      }
    },
    async read({ id }, index, owner) {
      const message = await line.readLast(stream, subjectOf(id, owner, index))
      if (message === undefined) return undefined
      if (crc32(message.data).toString(16) !== message.headers.get(headerNames.sum)) throw new DamagedParts(id, index)
      return message.data
    },
    remove,
  }
}

/** When the parts began to be written: it stands in their name. */
export function startedAt(id: string): EpochMs {
  return Number.parseInt(id.split('-')[0] ?? '', 36)
}

/** Pieces of exactly `size` bytes, but the last; copies, since a source may use its memory again. */
export async function* cut(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array> {
  let piece = Buffer.allocUnsafeSlow(size)
  let filled = 0
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const taken = Math.min(size - filled, chunk.length - at)
      piece.set(chunk.subarray(at, at + taken), filled)
      filled += taken
      at += taken
      if (filled < size) continue
      yield piece
      piece = Buffer.allocUnsafeSlow(size)
      filled = 0
    }
  }
  if (filled > 0) yield piece.subarray(0, filled)
}
