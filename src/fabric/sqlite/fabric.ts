/**
 * The embedded fabric: one folder on one machine. `fabric.db` holds buckets and leases, `blobs/` the blobs, `lock` the
 * right to be here.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { checkEntry } from '#/core/check-entry.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import { createListeners } from '#/core/listeners.ts'
import type { Bucket, Change, Entry, Fabric, Lease } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import { openBlobs } from './blobs.ts'
import { lockFolder } from './lock.ts'
import { openReader, type Reader } from './reader.ts'
import { syncFolder } from './sync-folder.ts'
import { openWriter, type Writer } from './writer.ts'

export interface SqliteFabricOptions {
  /** Made where it is missing; one process at a time. */
  readonly folder: string
  readonly clock: Clock
  readonly limits: Limits
  /** Hears what listeners throw; a process warning by default. */
  readonly report?: (error: unknown) => void
}

/** Rejects with `folder_in_use` while another process (or another fabric of this one) has the folder. */
export async function openSqliteFabric(options: SqliteFabricOptions): Promise<Fabric> {
  const { folder, clock, limits, report = warn } = options
  await mkdir(folder, { recursive: true })
  const unlock = lockFolder(folder)
  let writer: Writer | undefined
  try {
    const file = join(folder, 'fabric.db')
    const blobs = await openBlobs({ folder: join(folder, 'blobs'), clock, limits })
    writer = await openWriter(file, clock, limits)
    const reader = openReader(file)
    await syncFolder(folder)
    return assemble({ writer, reader, blobs, unlock, clock, limits, report })
  } catch (error) {
    await writer?.close()
    unlock()
    throw error
  }
}

interface Parts {
  readonly writer: Writer
  readonly reader: Reader
  readonly blobs: Fabric['blobs']
  readonly unlock: () => void
  readonly clock: Clock
  readonly limits: Limits
  readonly report: (error: unknown) => void
}

function assemble({ writer, reader, blobs, unlock, clock, limits, report }: Parts): Fabric {
  const topics = createListeners<Uint8Array>(report)
  const watchers = createListeners<{ readonly bucket: string; readonly change: Change }>(report)
  let closing: Promise<void> | undefined

  async function close(): Promise<void> {
    await writer.close()
    reader.close()
    unlock()
  }

  return {
    blobs,
    bucket: (name) => createBucket({ name, writer, reader, watchers, clock, limits }),
    publish(topic, message) {
      topics.tell((name) => name === topic, new Uint8Array(message))
    },
    subscribe: (topic, listener) => topics.add(topic, listener),
    async lease(name, ttl) {
      const epoch = await writer.submit({ kind: 'acquire', name, ttl })
      return epoch === 0 ? undefined : createLease(writer, name, ttl, epoch)
    },
    state: 'here',
    onState: () => () => {},
    async clean() {
      await writer.submit({ kind: 'clean' })
      if ((await writer.submit({ kind: 'cleaned' })) === 1) return
      throw new EdgeError('storage_full', 'What was deleted could not be overwritten: the disk is full, or busy.')
    },
    close() {
      closing ??= close()
      return closing
    },
  }
}

function createLease(writer: Writer, name: string, ttl: number, epoch: number): Lease {
  return {
    epoch,
    renew: async () => (await writer.submit({ kind: 'renew', name, epoch, ttl })) === 1,
    release: async () => void (await writer.submit({ kind: 'release', name, epoch })),
  }
}

interface BucketParts extends Pick<Parts, 'writer' | 'reader' | 'clock' | 'limits'> {
  readonly name: string
  readonly watchers: ReturnType<typeof createListeners<{ readonly bucket: string; readonly change: Change }>>
}

function createBucket({ name, writer, reader, watchers, clock, limits }: BucketParts): Bucket {
  function tell(key: string, change: Change): void {
    watchers.tell((watched) => watched.startsWith(`${name}\0`) && key.startsWith(watched.slice(name.length + 1)), {
      bucket: name,
      change,
    })
  }

  return {
    get: async (key) => reader.get(name, key, clock()),
    list: async (options) => reader.list(name, options, clock()),
    async put(key, bytes, { expect, expiresAt } = {}) {
      checkEntry(key, bytes, limits)
      // A copy: the caller may go on writing into its bytes, and only a view's own bytes should cross to the thread.
      const value = new Uint8Array(bytes)
      const revision = await writer.submit({ kind: 'put', bucket: name, key, value, expect, expiresAt })
      if (revision === 0) return undefined
      const entry: Entry = expiresAt === undefined ? { key, value, revision } : { key, value, revision, expiresAt }
      tell(key, { kind: 'put', entry })
      return revision
    },
    async delete(key, { expect } = {}) {
      const removed = (await writer.submit({ kind: 'delete', bucket: name, key, expect })) === 1
      if (removed) tell(key, { kind: 'delete', key })
      return removed
    },
    watch: (prefix, listener) => watchers.add(`${name}\0${prefix}`, ({ change }) => listener(change)),
  }
}

function warn(error: unknown): void {
  process.emitWarning(`A listener of the fabric failed: ${error instanceof Error ? error.stack : String(error)}`)
}
