/**
 * Key-value namespaces behind Workers KV and Compute's KV stores: small values in a bucket, larger ones in blobs.
 */
import { EdgeError } from '#/core/errors.ts'
import { refuseKey, refusePrefix, refuseValue } from '#/core/kv-rules.ts'
import type { Limits } from '#/core/limits.ts'
import type { Bucket, Entry, Fabric, KvStores, KvValue } from '#/core/ports.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import type { Clock } from '#/core/units.ts'
import { decodeMetadata, decodeRecord, encodeRecord, headOf, type KvRecord } from './kv-record.ts'

export interface KvParts {
  /** The fabric, or the replicas where data is merged between points of presence. */
  readonly fabric: Pick<Fabric, 'bucket' | 'blobs'>
  /** The replicas do: they know which of their blobs a record names, so that no marks are kept. */
  readonly sweepsItself?: boolean
  readonly limits: Limits
  readonly clock: Clock
}

/**
 * The port, and what the sweep of blobs asks. A mark `HASH/STORE/KEY` in the bucket `kv-blobs` is on disk before the
 * record that names a blob, so that the sweep finds every blob in use without reading all keys.
 */
export interface SweptKvStores extends KvStores {
  /** Every blob that a record names or is about to name; removes marks that no record needs any more. */
  blobsInUse(): AsyncIterable<BlobHash>
}

/** The bucket of a namespace's keys. */
export function bucketOf(store: string): string {
  return `kv/${store}`
}

/** The blob that a value of such a bucket names. */
export function blobOf(bucket: string, value: Uint8Array): BlobHash | undefined {
  if (!bucket.startsWith('kv/')) return undefined
  const record = decodeRecord(value)
  return record.kind === 'blob' ? record.hash : undefined
}

const page = 1000
/** A blob may go between the read of a record and of its blob, when the key is overwritten: then the record is read anew. */
const readAttempts = 3

/** Rejects with the refusals of `core/kv-rules.ts`, and with what the fabric says (`storage_full`, `overloaded`). */
export function createKvStores({ fabric, sweepsItself = false, limits, clock }: KvParts): SweptKvStores {
  const marks = fabric.bucket('kv-blobs')
  const keysOf = (store: string): Bucket => fabric.bucket(bucketOf(store))

  async function storeValue(store: string, key: string, { value, metadata }: KvValue): Promise<KvRecord> {
    const head = metadata === undefined ? {} : { metadata }
    if (value.byteLength <= limits.kvInlineBytes) return { ...head, kind: 'inline', value }
    const { hash } = await fabric.blobs.put(value)
    if (!sweepsItself) await marks.put(markOf(hash, store, key), Buffer.from(`${clock()}`))
    return { ...head, kind: 'blob', hash }
  }

  return {
    async get(store, key) {
      throwIf(refuseKey(key, limits.kvKeyBytes))
      for (let attempt = 0; attempt < readAttempts; attempt++) {
        const entry = await keysOf(store).get(key)
        if (entry === undefined) return undefined
        const record = decodeRecord(entry.value)
        const value = record.kind === 'inline' ? record.value : await fabric.blobs.get(record.hash)
        if (value !== undefined) return { ...withHead(value, record.metadata, entry), revision: entry.revision }
      }
      throw new EdgeError('internal', `The value of the key "${key}" is missing from the blobs.`)
    },

    async put(store, key, value, options = {}) {
      throwIf(refuseKey(key, limits.kvKeyBytes) ?? refuseValue(value.value.byteLength, value.metadata, limits))
      const record = encodeRecord(await storeValue(store, key, value))
      const expires = value.expiresAt === undefined ? {} : { expiresAt: value.expiresAt }
      return keysOf(store).put(key, record, { ...options, ...expires })
    },

    async delete(store, key, options) {
      throwIf(refuseKey(key, limits.kvKeyBytes))
      return keysOf(store).delete(key, options)
    },

    async list(store, { prefix = '', cursor, limit }) {
      throwIf(refusePrefix(prefix, limits.kvKeyBytes))
      if (!Number.isInteger(limit) || limit < 1 || limit > limits.kvListKeys)
        throw new EdgeError('bad_request', `Invalid limit of ${limit}: it must be from 1 to ${limits.kvListKeys}.`)
      const after = cursor === undefined ? undefined : openCursor(cursor)
      const entries = await keysOf(store).list({
        prefix,
        limit: limit + 1,
        valueBytes: headOf(limits.kvMetadataBytes),
        ...(after === undefined ? {} : { after }),
      })
      const shown = entries.slice(0, limit)
      const keys = shown.map((entry) => ({ name: entry.key, ...extras(decodeMetadata(entry.value), entry) }))
      return entries.length > limit ? { keys, cursor: makeCursor(shown.at(-1)!.key) } : { keys }
    },

    async clear(store) {
      const keys = keysOf(store)
      for (;;) {
        const entries = await keys.list({ limit: page, keysOnly: true })
        if (entries.length === 0) return
        await Promise.all(entries.map((entry) => keys.delete(entry.key)))
      }
    },

    async *blobsInUse() {
      if (sweepsItself) return
      let after = ''
      for (;;) {
        const entries = await marks.list({ limit: page, ...(after === '' ? {} : { after }) })
        for (const mark of entries) if (await isNeeded(mark)) yield readMark(mark.key).hash
        if (entries.length < page) return
        after = entries.at(-1)!.key
      }
    },
  }

  /** A young mark may stand before its record is written, so it counts; an old one that no record bears out goes. */
  async function isNeeded(mark: Entry): Promise<boolean> {
    const { hash, store, key } = readMark(mark.key)
    const entry = await keysOf(store).get(key)
    const record = entry && decodeRecord(entry.value)
    if (record?.kind === 'blob' && record.hash === hash) return true
    const age = clock() - Number(Buffer.from(mark.value).toString())
    if (age <= limits.blobGraceMs) return true
    return !(await marks.delete(mark.key, { expect: mark.revision }))
  }
}

function throwIf(refusal: EdgeError | undefined): void {
  if (refusal !== undefined) throw refusal
}

function extras(metadata: string | undefined, { expiresAt }: Entry): Omit<KvValue, 'value'> {
  return { ...(metadata === undefined ? {} : { metadata }), ...(expiresAt === undefined ? {} : { expiresAt }) }
}

function withHead(value: Uint8Array, metadata: string | undefined, entry: Entry): KvValue {
  return { value, ...extras(metadata, entry) }
}

function markOf(hash: BlobHash, store: string, key: string): string {
  return `${hash}/${store}/${key}`
}

function readMark(mark: string): { hash: BlobHash; store: string; key: string } {
  const [hash, store] = mark.split('/', 2) as [string, string]
  return { hash, store, key: mark.slice(hash.length + store.length + 2) }
}

/** The last key of the page before, so that a cursor stays good whatever is written meanwhile. */
function makeCursor(lastKey: string): string {
  return Buffer.from(lastKey).toString('base64url')
}

function openCursor(cursor: string): string {
  const key = Buffer.from(cursor, 'base64url').toString()
  if (key === '' || makeCursor(key) !== cursor) throw new EdgeError('bad_request', 'Invalid cursor.')
  return key
}
