/**
 * The files that hold records, one after the other, never changed once written. The oldest one goes as a whole when space
 * is needed. Numbers are never used twice, so a place can never come to hold another record.
 */
import { close, mkdir, open, read, readdir, stat, unlink, writev } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface Segment {
  readonly number: number
  readonly descriptor: number
  bytes: number
  /** Bytes in files of their own whose records were written here. */
  fileBytes: number
  readers: number
  dropped: boolean
}

export interface Segments {
  /** Oldest first; the last one takes the next record. */
  readonly all: ReadonlyMap<number, Segment>
  /** Appends all or throws what the disk said; returns where the first one lies. */
  append(records: readonly Buffer[]): Promise<{ segment: Segment; offset: number }>
  /** Undefined where the file is shorter or cannot be read. */
  read(segment: Segment, offset: number, bytes: number): Promise<Buffer | undefined>
  /** The next record goes to a new file. */
  seal(): void
  drop(segment: Segment): void
  readonly current: Segment | undefined
  /** All files together. */
  readonly bytes: number
  close(): Promise<void>
}

const openFile = promisify(open)
const closeFile = promisify(close)
const writeBuffers = promisify(
  (fd: number, buffers: Buffer[], at: number, done: (e: Error | null, n: number) => void) =>
    writev(fd, buffers, at, done),
)

/** Opens what `keep` says is known; everything else in the folder is deleted. */
export async function openSegments(folder: string, known: ReadonlySet<number>): Promise<Segments> {
  await promisify(mkdir)(folder, { recursive: true })
  const all = new Map<number, Segment>()
  let total = 0
  let highest = 0
  const numbers = (await promisify(readdir)(folder)).map(Number).filter((number) => Number.isSafeInteger(number))
  for (const number of numbers.sort((a, b) => a - b)) {
    highest = Math.max(highest, number)
    const path = join(folder, `${number}`)
    if (!known.has(number)) {
      await promisify(unlink)(path)
      continue
    }
    const descriptor = await openFile(path, 'r')
    const bytes = (await promisify(stat)(path)).size
    all.set(number, { number, descriptor, bytes, fileBytes: 0, readers: 0, dropped: false })
    total += bytes
  }
  for (const number of known) highest = Math.max(highest, number)
  let current: Segment | undefined

  async function openNext(): Promise<Segment> {
    const number = highest + 1
    const descriptor = await openFile(join(folder, `${number}`), 'wx+')
    highest = number
    current = { number, descriptor, bytes: 0, fileBytes: 0, readers: 0, dropped: false }
    all.set(number, current)
    return current
  }

  function release(segment: Segment): void {
    segment.readers--
    if (segment.dropped && segment.readers === 0) close(segment.descriptor, () => {})
  }

  function readExactly(segment: Segment, buffer: Buffer, offset: number): Promise<boolean> {
    return new Promise((resolve) => {
      const step = (filled: number): void => {
        read(segment.descriptor, buffer, filled, buffer.length - filled, offset + filled, (error, count) => {
          if (error !== null || count === 0) resolve(false)
          else if (filled + count === buffer.length) resolve(true)
          else step(filled + count)
        })
      }
      step(0)
    })
  }

  return {
    all,
    async append(records) {
      const segment = current ?? (await openNext())
      const offset = segment.bytes
      const length = records.reduce((sum, record) => sum + record.length, 0)
      segment.readers++
      try {
        const written = await writeBuffers(segment.descriptor, records as Buffer[], offset)
        segment.bytes += written
        total += written
        // A short write is how a disk that fills up begins.
        if (written < length) throw new Error('the disk took only a part')
      } finally {
        release(segment)
      }
      return { segment, offset }
    },
    async read(segment, offset, bytes) {
      if (segment.dropped || offset + bytes > segment.bytes) return undefined
      const buffer = Buffer.allocUnsafeSlow(bytes)
      segment.readers++
      try {
        return (await readExactly(segment, buffer, offset)) ? buffer : undefined
      } finally {
        release(segment)
      }
    },
    seal() {
      current = undefined
    },
    drop(segment) {
      if (segment.dropped) return
      segment.dropped = true
      if (segment === current) current = undefined
      all.delete(segment.number)
      total -= segment.bytes
      unlink(join(folder, `${segment.number}`), () => {})
      if (segment.readers === 0) close(segment.descriptor, () => {})
    },
    get current() {
      return current
    },
    get bytes() {
      return total
    },
    async close() {
      current = undefined
      for (const segment of all.values()) {
        segment.dropped = true
        if (segment.readers === 0) await closeFile(segment.descriptor)
      }
    },
  }
}
