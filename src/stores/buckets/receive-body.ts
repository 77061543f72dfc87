/** A body as it arrives: counted, hashed, and kept in memory or written to a file while it does. */
import { createHash, type Hash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { DigestName, Digests } from '#/core/buckets.ts'
import { EdgeError } from '#/core/errors.ts'
import type { BodyFiles, NewFile } from './body-files.ts'
import type { StoredBody } from './write-index.ts'

export interface ReceiveOptions {
  /** Announced. */
  readonly bytes: number
  /** Besides MD5. */
  readonly digests: Digests
  /** Bodies up to here are kept in memory. */
  readonly inlineBytes: number
  readonly files: Pick<BodyFiles, 'create'>
}

export type Received =
  | { readonly ok: true; readonly body: StoredBody; drop(): Promise<void> }
  | { readonly ok: false; readonly why: 'length' }
  | {
      readonly ok: false
      readonly why: 'digest'
      readonly name: DigestName
      readonly given: string
      readonly actual: string
    }

/** Gathered before it is written: fewer and larger writes. */
const writeBytes = 1024 * 1024

/**
 * Reads to the end whatever the outcome. Rejects when the source breaks off, or with `storage_full`; nothing is left behind
 * then.
 */
export async function receiveBody(source: Uint8Array | Readable | null, options: ReceiveOptions): Promise<Received> {
  const { bytes, digests, inlineBytes, files } = options
  const hashes = startHashes(digests)
  const file = bytes > inlineBytes ? await files.create() : undefined
  const sink = file === undefined ? memorySink() : fileSink(file)
  try {
    const length = await pump(source, bytes, hashes, sink)
    await sink.finish(length === bytes)
    const found = Object.fromEntries(hashes.map(([name, hash]) => [name, hash.digest('hex')])) as StoredBody['digests']
    const refusal = length === bytes ? wrongDigest(digests, found) : ({ ok: false, why: 'length' } as const)
    if (refusal !== undefined) {
      await file?.drop()
      return refusal
    }
    await file?.keep()
    const place = file === undefined ? { inline: sink.whole!() } : { file: file.file }
    return { ok: true, body: { bytes, digests: found, ...place }, drop: async () => file?.drop() }
  } catch (error) {
    await file?.drop()
    throw fullOr(error)
  }
}

function startHashes(digests: Digests): [DigestName, Hash][] {
  const names = new Set<DigestName>(['md5', ...(Object.keys(digests) as DigestName[])])
  return [...names].map((name) => [name, createHash(name)])
}

function wrongDigest(wanted: Digests, found: Digests): Extract<Received, { why: 'digest' }> | undefined {
  for (const [name, given] of Object.entries(wanted) as [DigestName, string][])
    if (found[name] !== given) return { ok: false, why: 'digest', name, given, actual: found[name]! }
  return undefined
}

interface Sink {
  take(chunk: Uint8Array): Promise<void> | undefined
  finish(isWhole: boolean): Promise<void>
  whole?(): Uint8Array
}

/** How many bytes there were. What is beyond the announced length is read and dropped. */
async function pump(
  source: Uint8Array | Readable | null,
  bytes: number,
  hashes: readonly [DigestName, Hash][],
  sink: Sink,
): Promise<number> {
  let length = 0
  let failure: { readonly error: unknown } | undefined
  for await (const chunk of source === null ? [] : source instanceof Uint8Array ? [source] : source) {
    const part = chunk as Uint8Array
    length += part.length
    if (length > bytes || failure !== undefined) continue
    for (const [, hash] of hashes) hash.update(part)
    // The sender hears of a failure only once it has sent everything.
    await sink.take(part)?.catch((error: unknown) => {
      failure = { error }
    })
  }
  if (failure !== undefined) throw failure.error
  return length
}

function memorySink(): Sink {
  const chunks: Uint8Array[] = []
  return {
    take: (chunk) => void chunks.push(chunk),
    finish: async () => {},
    // A copy of its own: what came may be a view of a buffer that is used again.
    whole: () => Uint8Array.from(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)),
  }
}

/** One write is under way while the next is gathered. */
function fileSink({ handle }: NewFile): Sink {
  let gathered: Uint8Array[] = []
  let bytes = 0
  let writing: Promise<unknown> = Promise.resolve()
  async function flush(): Promise<void> {
    await writing
    const chunks = gathered
    gathered = []
    bytes = 0
    writing = writeAll(handle, chunks)
    // Looked at with the next flush.
    writing.catch(() => {})
  }
  return {
    take(chunk) {
      gathered.push(chunk)
      bytes += chunk.length
      return bytes >= writeBytes ? flush() : undefined
    },
    async finish(isWhole) {
      if (isWhole && gathered.length > 0) await flush()
      await writing
    },
  }
}

/** `writev` may write less than it was given. */
async function writeAll(handle: NewFile['handle'], chunks: readonly Uint8Array[]): Promise<void> {
  const total = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  const { bytesWritten } = await handle.writev(chunks)
  if (bytesWritten < total) await handle.writeFile(Buffer.concat(chunks).subarray(bytesWritten))
}

/** What a full disk, a quota or a file-size limit say becomes `storage_full`. */
function fullOr(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'EFBIG') return error
  return new EdgeError('storage_full', 'The disk is full: the object was not stored.', { cause: error })
}
