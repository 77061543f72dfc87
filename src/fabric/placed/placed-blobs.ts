/**
 * Blobs that stay in their countries: in parts in a bucket there, encrypted with a key of these countries, which lies beside
 * them and which the platform's own key opens. All other blobs are those of the fabric below.
 */
import { createHmac } from 'node:crypto'
import { Readable } from 'node:stream'
import { nameWithin, placedBlobName, withinOfBlob } from '#/core/blob-names.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Within } from '#/core/pops.ts'
import type { Blobs, Entry, Fabric, Seal } from '#/core/ports.ts'
import { describeWithin } from '#/core/residency.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { awaitEntry, decrypt, encrypt, openPlacedKey } from './placed-key.ts'

export interface PlacedBlobOptions {
  /** Under the platform's key. */
  readonly seal: Pick<Seal, 'seal' | 'open'>
  readonly limits: Pick<Limits, 'placedBlobWaitMs'>
  readonly clock: Clock
  /** May somebody here hold what stays in these countries? Else it is `not_here`; absent: yes. */
  readonly mayHold?: (within: Within) => boolean
}

/** In front of a blob's parts, under its digest; the parts are under `DIGEST/NUMBER`. */
interface Head {
  readonly bytes: number
  readonly storedAt: EpochMs
}

/** The largest message of NATS is 1 MiB by default. */
const partBytes = 512 * 1024
const page = 500
/** A name is made young again when it is older than this. */
const youngMs = 60_000

/** The same fabric, with blobs that may stay in countries. */
export function withPlacedBlobs<Whole extends Fabric>(fabric: Whole, options: PlacedBlobOptions): Whole {
  const blobs = createPlacedBlobs(fabric, options)
  // Its state is a getter, so its members are taken over as they are.
  return Object.defineProperties(
    {},
    {
      ...Object.getOwnPropertyDescriptors(fabric),
      blobs: { value: blobs, enumerable: true },
    },
  ) as Whole
}

export function createPlacedBlobs(fabric: Pick<Fabric, 'bucket' | 'blobs'>, options: PlacedBlobOptions): Blobs {
  const shared = fabric.blobs
  const { mayHold = () => true } = options
  const shelves = new Map<string, Shelf>()
  function shelfFor(within: Within): Shelf {
    if (!mayHold(within)) throw new EdgeError('not_here', `This stays in ${describeWithin(within)}.`)
    const name = nameWithin('placed-blobs', within)
    const known = shelves.get(name) ?? openShelf(fabric, within, options)
    shelves.set(name, known)
    return known
  }
  /** Where a blob lies, if not among those that may be anywhere. */
  function shelfOf(hash: BlobHash): Shelf | undefined {
    const within = withinOfBlob(hash)
    return within && shelfFor(within)
  }

  return {
    put: async (source, { within } = {}) => (within === undefined ? shared.put(source) : shelfFor(within).put(source)),
    async get(hash) {
      const shelf = shelfOf(hash)
      if (shelf === undefined) return shared.get(hash)
      const parts = await shelf.read(hash)
      return parts && Buffer.concat(await Array.fromAsync(parts))
    },
    async stream(hash, range) {
      const shelf = shelfOf(hash)
      if (shelf === undefined) return shared.stream(hash, range)
      const parts = await shelf.read(hash, range)
      return parts && Readable.from(parts, { objectMode: false })
    },
    has: async (hash) => shelfOf(hash)?.has(hash) ?? shared.has(hash),
    async *list(placed = []) {
      yield* shared.list()
      for (const within of placed) if (mayHold(within)) yield* shelfFor(within).list()
    },
    delete: async (hash, how) => shelfOf(hash)?.delete(hash, how) ?? shared.delete(hash, how),
  }
}

type Shelf = ReturnType<typeof openShelf>

/** What stays in one set of countries. */
function openShelf(fabric: Pick<Fabric, 'bucket'>, within: Within, { seal, limits, clock }: PlacedBlobOptions) {
  const bucket = fabric.bucket(nameWithin('placed-blobs', within), { within })
  let opened: Promise<Buffer> | undefined
  function key(): Promise<Buffer> {
    opened ??= openPlacedKey(fabric, within, seal, limits.placedBlobWaitMs)
    opened.catch(() => {
      opened = undefined
    })
    return opened
  }
  const digestOf = (hash: BlobHash) => hash.slice(0, hash.indexOf('@'))
  const partKey = (digest: string, index: number) => `${digest}/${String(index).padStart(6, '0')}`
  const writeHead = (digest: string, head: Head) => bucket.put(digest, Buffer.from(JSON.stringify(head)))

  return {
    async put(source: Uint8Array | AsyncIterable<Uint8Array>) {
      const secret = await key()
      const bytes = await wholeOf(source)
      const digest = createHmac('sha256', secret).update(bytes).digest('hex')
      for (let index = 0; index * partBytes < bytes.length; index++) {
        const part = bytes.subarray(index * partBytes, (index + 1) * partBytes)
        await bucket.put(partKey(digest, index), encrypt(secret, partKey(digest, index), part))
      }
      await writeHead(digest, { bytes: bytes.length, storedAt: clock() })
      return { hash: placedBlobName(digest, within), bytes: bytes.length }
    },

    /** Whoever was told its name may be faster than its bytes: they are waited for. */
    async read(hash: BlobHash, range?: { readonly start: number; readonly end: number }) {
      const digest = digestOf(hash)
      const head = await awaitEntry(bucket, digest, limits.placedBlobWaitMs)
      if (head === undefined) return undefined
      const secret = await key()
      const { bytes } = headOf(head)
      const { start, end } = range ?? { start: 0, end: bytes - 1 }
      return (async function* () {
        const last = Math.floor(Math.min(end, bytes - 1) / partBytes)
        for (let index = Math.floor(start / partBytes); index <= last; index++) {
          const name = partKey(digest, index)
          const entry = await awaitEntry(bucket, name, limits.placedBlobWaitMs)
          if (entry === undefined) throw new EdgeError('internal', `The blob ${hash} is not whole.`)
          const at = index * partBytes
          yield decrypt(secret, name, entry.value).subarray(Math.max(0, start - at), end + 1 - at)
        }
      })()
    },

    async has(hash: BlobHash): Promise<boolean> {
      const digest = digestOf(hash)
      const entry = await bucket.get(digest)
      if (entry === undefined) return false
      const head = headOf(entry)
      if (clock() - head.storedAt > youngMs) await writeHead(digest, { ...head, storedAt: clock() })
      return true
    },

    async *list() {
      for (let after = ''; ; ) {
        const entries = await bucket.list({ limit: page, valueBytes: 200, ...(after !== '' && { after }) })
        for (const entry of entries)
          if (!entry.key.includes('/')) yield { hash: placedBlobName(entry.key, within), ...headOf(entry) }
        if (entries.length < page) return
        after = entries.at(-1)!.key
      }
    },

    async delete(hash: BlobHash, { storedBefore = Number.POSITIVE_INFINITY } = {}): Promise<void> {
      const digest = digestOf(hash)
      const entry = await bucket.get(digest)
      if (entry === undefined) return
      const head = headOf(entry)
      if (head.storedAt >= storedBefore || !(await bucket.delete(digest, { expect: entry.revision }))) return
      for (let index = 0; index * partBytes < head.bytes; index++) await bucket.delete(partKey(digest, index))
    },
  }
}

async function wholeOf(source: Uint8Array | AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return source instanceof Uint8Array ? source : Buffer.concat(await Array.fromAsync(source))
}

function headOf({ key, value }: Entry): Head {
  try {
    const { bytes, storedAt } = JSON.parse(Buffer.from(value).toString()) as Head
    return { bytes, storedAt }
  } catch (error) {
    throw new EdgeError('internal', `The blob ${key} is damaged.`, { cause: error })
  }
}
