/** One bucket that lives here: its files, and what its threads know of them. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Digests, ObjectFacts, PartWish, PutWish, Troubled } from '#/core/buckets.ts'
import { isTroubled } from '#/core/buckets.ts'
import type { Limits } from '#/core/limits.ts'
import type { IndexThread } from './ask-index.ts'
import { type BodyFiles, openBodyFiles } from './body-files.ts'
import type { FoundBody, ReadOperation } from './read-index.ts'
import { type Received, receiveBody } from './receive-body.ts'
import { sendBody } from './send-body.ts'
import type { StoredBody, WriteAnswer, WriteOperation, WritePolicy } from './write-index.ts'

export type BucketLimits = Pick<
  Limits,
  'bucketKeyBytes' | 'bucketMetadataBytes' | 'bucketPutBytes' | 'bucketInlineBytes' | 'bucketDeleteKeys'
>

export interface OpenedBucket {
  read(operation: ReadOperation): Promise<object>
  get(operation: Extract<ReadOperation, { do: 'get' }>): Promise<{ head: object; body: Uint8Array | Readable | null }>
  put(wish: PutWish, body: Uint8Array | Readable | null): Promise<object>
  putPart(part: PartWish, body: Uint8Array | Readable | null): Promise<object>
  write(operation: WriteOperation): Promise<object>
  /** Removes files that nothing names and that a process that died left here. Returns how many. */
  sweep(): Promise<number>
  /** Resolves when no file is being removed. */
  settled(): Promise<void>
}

export interface BucketParts {
  readonly id: string
  /** Of this bucket. */
  readonly folder: string
  readonly reads: IndexThread
  readonly writes: IndexThread
  readonly limits: BucketLimits
  readonly report: (message: string, error: unknown) => void
  readonly policy: () => WritePolicy
  /** Queues may have to be told of something. */
  readonly noticed: () => void
}

export async function openBucket({
  id,
  folder,
  reads,
  writes,
  limits,
  report,
  ...parts
}: BucketParts): Promise<OpenedBucket> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const files: BodyFiles = await openBodyFiles(join(folder, 'bodies'), report)
  await writes.ask(id, { do: 'open' })

  async function write(operation: WriteOperation): Promise<object> {
    const { lock, notices } = parts.policy()
    const isPlain = lock.length === 0 && notices.length === 0
    const { head, garbage } = await writes.ask<WriteAnswer>(
      id,
      isPlain ? operation : { ...operation, policy: { lock, notices } },
    )
    files.discard(garbage)
    if (notices.length > 0) parts.noticed()
    return head
  }

  /** Receives a body and, where it is as announced, has it written into the index. */
  async function take(
    source: Uint8Array | Readable | null,
    wish: { readonly bytes: number; readonly digests?: Digests },
    inlineBytes: number,
    store: (body: StoredBody) => Promise<object>,
  ): Promise<object> {
    const { bytes, digests = {} } = wish
    if (bytes > limits.bucketPutBytes) return refuse(source, { trouble: 'too_large' })
    const received = await receiveBody(source, { bytes, digests, inlineBytes, files })
    if (!received.ok) return troubleOf(received)
    try {
      return await store(received.body)
    } catch (error) {
      await received.drop()
      throw error
    }
  }

  return {
    write,
    read: (operation) => reads.ask(id, operation),
    settled: files.settled,

    async get(operation) {
      const found = files.lookUp()
      let answer: FoundBody | Troubled
      try {
        answer = await reads.ask<FoundBody | Troubled>(id, operation)
      } catch (error) {
        found([])()
        throw error
      }
      const pieces = isTroubled(answer) ? [] : (answer.pieces ?? [])
      const release = found(pieces.map(({ file }) => file))
      if (isTroubled(answer)) return { head: answer, body: null }
      const { object, range, inline } = answer
      const head = { object, range }
      if (inline !== undefined) return { head, body: inline }
      if (pieces.length > 0) return { head, body: sendBody(files, pieces, range, release) }
      return { head, body: new Uint8Array() }
    },

    async put(wish, source) {
      const trouble = refuseFacts(wish, limits)
      if (trouble !== undefined) return refuse(source, trouble)
      const { bytes: _, onlyIf, digests, copyOf, ...facts } = wish
      const operation = { do: 'put', facts, ...(onlyIf && { onlyIf }), ...(copyOf && { copyOf }) } as const
      return take(source, wish, limits.bucketInlineBytes, (body) => write({ ...operation, body }))
    },

    async putPart(part, source) {
      const { key, uploadId, number } = part
      const known = await reads.ask<object>(id, { do: 'list-parts', key, uploadId })
      if (isTroubled(known)) return refuse(source, known)
      return take(source, part, -1, (body) => write({ do: 'put-part', key, uploadId, number, body }))
    },

    async sweep() {
      let removed = 0
      for await (const names of files.leftOver()) {
        const unnamed = await reads.ask<{ files: string[] }>(id, { do: 'unnamed', files: names })
        files.discard(unnamed.files)
        removed += unnamed.files.length
      }
      return removed
    },
  }
}

/** The sender hears of it only once it has sent everything. */
async function refuse(source: Uint8Array | Readable | null, trouble: Troubled): Promise<Troubled> {
  if (source !== null && !(source instanceof Uint8Array)) for await (const _ of source);
  return trouble
}

const digestWords = { md5: 'MD5', sha1: 'SHA-1', sha256: 'SHA-256', sha384: 'SHA-384', sha512: 'SHA-512' } as const

function troubleOf(received: Extract<Received, { ok: false }>): Troubled {
  if (received.why === 'length') return { trouble: 'short_body' }
  const word = digestWords[received.name]
  const detail = [
    `The ${word} checksum you specified did not match what we received.`,
    `You provided a ${word} checksum with value: ${received.given}`,
    `Actual ${word} was: ${received.actual}`,
  ].join('\n')
  return { trouble: 'bad_digest', detail }
}

/** What no put may have: «R2 > Limits» (https://developers.cloudflare.com/r2/platform/limits/). */
export function refuseFacts({ key, http = {}, custom = {} }: ObjectFacts, limits: BucketLimits): Troubled | undefined {
  const bytes = Buffer.byteLength(key)
  if (bytes === 0 || bytes > limits.bucketKeyBytes || !key.isWellFormed()) return { trouble: 'bad_key' }
  const customBytes = Object.entries(custom).reduce((sum, [name, value]) => sum + lengthOf(name) + lengthOf(value), 0)
  const httpBytes = Object.values(http).reduce((sum, value) => sum + lengthOf(String(value)), 0)
  const isTooLarge = customBytes > limits.bucketMetadataBytes || httpBytes > limits.bucketMetadataBytes
  return isTooLarge ? { trouble: 'metadata_too_large' } : undefined
}

/** Latin-1 counts one byte a character, everything else two. */
function lengthOf(text: string): number {
  return /[^\0-\u00ff]/.test(text) ? text.length * 2 : text.length
}
