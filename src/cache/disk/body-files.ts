/**
 * Large bodies as files, checked by a CRC-32 for each block of 64 KiB that stands in their record: a range is checked as
 * strictly as the whole, and no block is handed out unchecked.
 */
import type { FileHandle } from 'node:fs/promises'
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import type { FileBody } from './record.ts'

export const blockBytes = 64 * 1024
const blocksPerRead = 4

export interface BodyFiles {
  create(): Promise<BodyFileWriter>
  stream(body: FileBody, range: { start: number; end: number } | undefined, damaged: () => void): Readable
  remove(file: number): void
  /** Whether the file was there when the folder was opened. */
  has(file: number): boolean
  /** Deletes every file that is not in use; new ones get numbers above `highestUsed`. */
  sweep(inUse: ReadonlySet<number>, highestUsed: number): Promise<void>
}

export interface BodyFileWriter {
  readonly file: number
  write(chunk: Uint8Array): Promise<void>
  finish(): Promise<FileBody>
  abort(): Promise<void>
}

export async function openBodyFiles(folder: string): Promise<BodyFiles> {
  await mkdir(folder, { recursive: true })
  const pathOf = (file: number): string => join(folder, `${file}`)
  const found = new Set((await readdir(folder)).map(Number).filter((file) => Number.isSafeInteger(file)))
  let highest = [...found].reduce((a, b) => Math.max(a, b), 0)
  const remove = (file: number): void => {
    rm(pathOf(file), { force: true }).catch(() => {})
  }
  return {
    remove,
    has: (file) => found.has(file),
    async create() {
      const file = ++highest
      const handle = await open(pathOf(file), 'wx')
      return createWriter(file, handle, () => remove(file))
    },
    stream: (body, range, damaged) => streamBody(pathOf(body.file), body, range, damaged),
    async sweep(inUse, highestUsed) {
      for (const file of found) if (!inUse.has(file)) await rm(pathOf(file), { force: true })
      highest = Math.max(highest, highestUsed)
      found.clear()
    },
  }
}

function createWriter(file: number, handle: FileHandle, remove: () => void): BodyFileWriter {
  const checks: number[] = []
  let bytes = 0
  let check = 0

  function countChecks(chunk: Uint8Array): void {
    let rest = chunk
    while (rest.length > 0) {
      const part = rest.subarray(0, blockBytes - (bytes % blockBytes))
      check = crc32(part, check)
      bytes += part.length
      rest = rest.subarray(part.length)
      if (bytes % blockBytes === 0) closeBlock()
    }
  }

  function closeBlock(): void {
    checks.push(check)
    check = 0
  }

  return {
    file,
    async write(chunk) {
      countChecks(chunk)
      let rest = chunk
      while (rest.length > 0) rest = rest.subarray((await handle.write(rest)).bytesWritten)
    },
    async finish() {
      if (bytes % blockBytes > 0) closeBlock()
      await handle.close()
      const table = Buffer.allocUnsafe(checks.length * 4)
      checks.forEach((value, index) => {
        table.writeUInt32BE(value, index * 4)
      })
      return { file, bytes, checks: table }
    },
    async abort() {
      await handle.close()
      remove()
    },
  }
}

/** The inclusive range, cut to what there is. `damaged` is called before the stream ends with an error. */
function streamBody(
  path: string,
  body: FileBody,
  range: { start: number; end: number } | undefined,
  damaged: () => void,
): Readable {
  const start = range?.start ?? 0
  const end = Math.min(range?.end ?? body.bytes - 1, body.bytes - 1)
  const last = start > end ? -1 : Math.floor(end / blockBytes)
  let block = Math.floor(start / blockBytes)
  let handle: FileHandle | undefined

  async function next(): Promise<Buffer | null> {
    if (block > last) return null
    handle ??= await open(path)
    const from = block * blockBytes
    const until = Math.min((block + blocksPerRead) * blockBytes, (last + 1) * blockBytes, body.bytes)
    const chunk = Buffer.allocUnsafeSlow(until - from)
    for (let filled = 0; filled < chunk.length; ) {
      const { bytesRead } = await handle.read(chunk, filled, chunk.length - filled, from + filled)
      if (bytesRead === 0) throw new Error('a stored body is shorter than it was')
      filled += bytesRead
    }
    for (let at = 0; at < chunk.length; at += blockBytes, block++)
      if (crc32(chunk.subarray(at, at + blockBytes)) !== body.checks.readUInt32BE(block * 4))
        throw new Error('a stored body is damaged')
    return chunk.subarray(Math.max(0, start - from), end + 1 - from)
  }

  return new Readable({
    highWaterMark: blockBytes,
    read() {
      next().then(
        (chunk) => this.push(chunk),
        (error: Error) => {
          damaged()
          this.destroy(error)
        },
      )
    },
    destroy(error, done) {
      if (handle === undefined) return done(error)
      handle.close().then(
        () => done(error),
        () => done(error),
      )
    },
  })
}
