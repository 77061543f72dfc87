/** Several ranges in one answer: `multipart/byteranges`, RFC 9110 §14.6. */
import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { HeaderList } from '#/core/exchange.ts'
import type { Extent } from '#/http/range.ts'

export interface ByteRanges {
  /** The fields of the 206: those of the whole, with the type and length of the parts. */
  readonly headers: HeaderList
  /** `read` gives the bytes of each part, one part after the other. */
  body(read: (part: Extent) => Iterable<Uint8Array> | AsyncIterable<Uint8Array>, done?: () => void): Readable
}

/** `headers` are those of the whole, without length and range; `total` its size in bytes. */
export function byteRanges(headers: HeaderList, parts: readonly Extent[], total: number): ByteRanges {
  const boundary = randomUUID()
  const kept: HeaderList = []
  let type = ''
  for (let index = 0; index < headers.length; index += 2)
    if (headers[index]!.toLowerCase() === 'content-type') type = `Content-Type: ${headers[index + 1]}\r\n`
    else kept.push(headers[index]!, headers[index + 1]!)
  const heads = parts.map(({ start, end }, index) => {
    const line = index === 0 ? '' : '\r\n'
    const text = `${line}--${boundary}\r\n${type}Content-Range: bytes ${start}-${end}/${total}\r\n\r\n`
    return Buffer.from(text, 'latin1')
  })
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  let bytes = tail.length
  for (const [index, { start, end }] of parts.entries()) bytes += heads[index]!.length + end - start + 1
  kept.push('content-type', `multipart/byteranges; boundary=${boundary}`, 'content-length', String(bytes))
  return {
    headers: kept,
    body(read, done) {
      async function* all() {
        try {
          for (const [index, part] of parts.entries()) {
            yield heads[index]!
            yield* read(part)
          }
          yield tail
        } finally {
          done?.()
        }
      }
      return Readable.from(all(), { objectMode: false })
    },
  }
}

/** Whether each part begins behind the one before it, so that a body can be read through once. */
export function areAscending(parts: readonly Extent[]): boolean {
  return parts.every(({ start }, index) => index === 0 || start > parts[index - 1]!.end)
}

/** Reads ascending parts out of one stream as it arrives. */
export function cutParts(source: Readable): (part: Extent) => AsyncIterable<Uint8Array> {
  const chunks = (source as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  let chunk: Uint8Array = new Uint8Array(0)
  /** Position of the chunk's first byte. */
  let at = 0
  return async function* cut({ start, end }) {
    for (;;) {
      const from = Math.max(start - at, 0)
      const to = Math.min(end + 1 - at, chunk.length)
      if (from < to) yield chunk.subarray(from, to)
      if (at + chunk.length > end) return
      at += chunk.length
      const next = await chunks.next()
      if (next.done === true) throw new Error('the body ended before its ranges did')
      chunk = next.value
    }
  }
}
