/** The bytes of an object that lie in files, as one stream. */
import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { ByteRange } from '#/core/buckets.ts'
import { createChunkShelf, lendFrom } from '#/core/lent-chunks.ts'
import type { BodyFiles } from './body-files.ts'
import type { Piece } from './rows.ts'

/** Read at once. */
const readBytes = 256 * 1024

/** Of all bodies: each has one that is read and those that a slow reader has not sent. */
const shelf = createChunkShelf(readBytes, 128)

/** `release` is called once, when nothing is read any more. */
export function sendBody(
  files: Pick<BodyFiles, 'open'>,
  pieces: readonly Piece[],
  range: ByteRange,
  release: () => void,
): Readable {
  let handle: FileHandle | undefined
  let index = 0
  let position = range.offset
  const end = range.offset + range.length

  async function next(): Promise<Uint8Array | null> {
    if (position >= end) return null
    let piece = pieces[index]!
    if (position >= piece.start + piece.bytes) {
      await handle?.close()
      handle = undefined
      piece = pieces[++index]!
    }
    if (handle === undefined) {
      const opened = await files.open(piece.file)
      if (stream.destroyed) {
        await opened.close()
        return null
      }
      handle = opened
    }
    const most = Math.min(readBytes, end - position, piece.start + piece.bytes - position)
    // Who keeps a chunk keeps less than twice what is in it.
    const buffer = most <= readBytes / 2 ? Buffer.allocUnsafeSlow(most) : shelf.take()
    const { bytesRead } = await handle.read(buffer, 0, most, position - piece.start)
    if (bytesRead === 0) throw new Error(`The body ${piece.file} of an object is shorter than its index says.`)
    position += bytesRead
    return buffer.subarray(0, bytesRead)
  }

  const stream: Readable = new Readable({
    // The next is read while one is sent.
    highWaterMark: 2 * readBytes,
    read() {
      next().then(
        (chunk) => this.push(chunk),
        (error: Error) => this.destroy(error),
      )
    },
    destroy(error, done) {
      const closed = handle?.close() ?? Promise.resolve()
      closed
        .catch(() => {})
        .finally(() => {
          release()
          done(error)
        })
    },
  })
  lendFrom(stream, shelf)
  return stream
}
