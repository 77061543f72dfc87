/**
 * One blob on disk: its bytes, then a CRC-32 (4 bytes, big-endian) for each block of 64 KiB. So a range is checked as
 * strictly as the whole, no block is handed out unchecked, and a check costs half of what SHA-256 would.
 */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { EdgeError } from '#/core/errors.ts'
import type { BlobHash } from '#/core/snapshot.ts'

export const blockBytes = 64 * 1024
const blocksPerRead = 4
const emptyHash = createHash('sha256').digest('hex')

/** Writes everything and the checks behind it; what `source` throws comes through. */
export async function writeBlob(
  handle: FileHandle,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<{ hash: BlobHash; bytes: number }> {
  const digest = createHash('sha256')
  const checks: number[] = []
  let bytes = 0
  for await (const block of inBlocks(source)) {
    digest.update(block)
    checks.push(crc32(block))
    bytes += block.length
    await writeAll(handle, block)
  }
  const table = Buffer.alloc(checks.length * 4)
  checks.forEach((check, index) => {
    table.writeUInt32BE(check, index * 4)
  })
  await writeAll(handle, table)
  return { hash: digest.digest('hex'), bytes }
}

/** Blocks of exactly 64 KiB, the last one shorter; the next call may overwrite the one before. */
async function* inBlocks(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const block = Buffer.allocUnsafe(blockBytes)
  let filled = 0
  for await (const chunk of source) {
    let rest = chunk
    while (rest.length > 0) {
      const part = rest.subarray(0, blockBytes - filled)
      block.set(part, filled)
      filled += part.length
      rest = rest.subarray(part.length)
      if (filled < blockBytes) break
      yield block
      filled = 0
    }
  }
  if (filled > 0) yield block.subarray(0, filled)
}

/** A write to a nearly full disk may be short: go on until all is there or the error shows. */
async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let rest = bytes
  while (rest.length > 0) rest = rest.subarray((await handle.write(rest)).bytesWritten)
}

/** Bytes of the blob in a file of this size, without the checks behind them; `undefined` for an impossible size. */
export function contentBytes(fileBytes: number): number | undefined {
  const blocks = Math.ceil(fileBytes / (blockBytes + 4))
  const bytes = fileBytes - 4 * blocks
  return bytes >= 0 && Math.ceil(bytes / blockBytes) === blocks ? bytes : undefined
}

export interface BlobReader {
  readonly bytes: number
  /** The next checked bytes of the range, `undefined` at its end. Rejects with `internal` on a damaged block. */
  next(): Promise<Uint8Array | undefined>
  close(): Promise<void>
}

/** Reads the inclusive range, cut to what there is. Takes over the handle. */
export async function readBlob(
  handle: FileHandle,
  hash: BlobHash,
  range?: { readonly start: number; readonly end: number },
): Promise<BlobReader> {
  const bytes = contentBytes((await handle.stat()).size)
  if (bytes === undefined || (bytes === 0 && hash !== emptyHash)) {
    await handle.close()
    throw damaged(hash)
  }
  const start = range?.start ?? 0
  const end = Math.min(range?.end ?? bytes - 1, bytes - 1)
  const first = Math.floor(start / blockBytes)
  const last = start > end ? first - 1 : Math.floor(end / blockBytes)
  const checks = await readExactly(handle, hash, bytes + first * 4, (last - first + 1) * 4)
  let block = first

  return {
    bytes,
    async next() {
      if (block > last) return undefined
      const from = block * blockBytes
      const until = Math.min((block + blocksPerRead) * blockBytes, (last + 1) * blockBytes, bytes)
      const chunk = await readExactly(handle, hash, from, until - from)
      for (let offset = 0; offset < chunk.length; offset += blockBytes, block++) {
        const check = crc32(chunk.subarray(offset, offset + blockBytes))
        if (check !== checks.readUInt32BE((block - first) * 4)) throw damaged(hash)
      }
      return chunk.subarray(Math.max(0, start - from), end + 1 - from)
    },
    close: () => handle.close(),
  }
}

async function readExactly(handle: FileHandle, hash: BlobHash, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, position + filled)
    if (bytesRead === 0) throw damaged(hash)
    filled += bytesRead
  }
  return buffer
}

function damaged(hash: BlobHash): EdgeError {
  return new EdgeError('internal', `The blob ${hash} is damaged on disk: store it again to repair it.`)
}
