/**
 * Blobs as files `aa/HASH`. Written under a temporary name, fsynced, renamed, folder fsynced: whole or not at all.
 */
import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, unlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Blobs } from '#/core/ports.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import type { Clock } from '#/core/units.ts'
import { type BlobReader, contentBytes, readBlob, writeBlob } from './blob-file.ts'
import { syncFolder } from './sync-folder.ts'
import { createTurns } from './turns.ts'

const hashPattern = /^[0-9a-f]{64}$/

export interface BlobsOptions {
  readonly folder: string
  readonly clock: Clock
  readonly limits: Pick<Limits, 'blobGraceMs'>
}

/** Opens the folder and removes what unfinished writes of a dead process left. */
export async function openBlobs({ folder, clock, limits }: BlobsOptions): Promise<Blobs> {
  const unfinished = join(folder, 'unfinished')
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { recursive: true })
  const knownFolders = new Set<string>()
  const turns = createTurns()

  const folderOf = (hash: BlobHash) => join(folder, hash.slice(0, 2))
  const pathOf = (hash: BlobHash) => join(folderOf(hash), hash)

  async function openFile(hash: BlobHash): Promise<FileHandle | undefined> {
    if (!hashPattern.test(hash)) return undefined
    return open(pathOf(hash)).catch(absent)
  }

  async function settle(from: string, hash: BlobHash): Promise<void> {
    const target = folderOf(hash)
    if (!knownFolders.has(target)) {
      await mkdir(target, { recursive: true })
      await syncFolder(folder)
      knownFolders.add(target)
    }
    await turns.take(hash, () => rename(from, pathOf(hash)))
    await syncFolder(target)
  }

  return {
    async put(source) {
      const path = join(unfinished, randomUUID())
      let handle: FileHandle | undefined
      try {
        handle = await open(path, 'wx')
        const stored = await writeBlob(handle, source instanceof Uint8Array ? [source] : source)
        await handle.utimes(clock() / 1000, clock() / 1000)
        await handle.sync()
        await handle.close()
        handle = undefined
        await settle(path, stored.hash)
        return stored
      } catch (error) {
        await handle?.close().catch(() => {})
        await unlink(path).catch(() => {})
        throw fullOr(error)
      }
    },

    async get(hash) {
      const handle = await openFile(hash)
      if (handle === undefined) return undefined
      const reader = await readBlob(handle, hash)
      try {
        const whole = Buffer.allocUnsafeSlow(reader.bytes)
        let filled = 0
        for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
          whole.set(chunk, filled)
          filled += chunk.length
        }
        return whole
      } finally {
        await reader.close()
      }
    },

    async stream(hash, range) {
      const handle = await openFile(hash)
      return handle && toStream(await readBlob(handle, hash, range))
    },

    async has(hash) {
      if (!hashPattern.test(hash)) return false
      return turns.take(hash, async () => {
        const found = await stat(pathOf(hash)).catch(absent)
        if (found === undefined) return false
        // Young again well before a sweep would take it; not on every question, since it writes.
        if (clock() - found.mtimeMs > limits.blobGraceMs / 4) await utimes(pathOf(hash), clock() / 1000, clock() / 1000)
        return true
      })
    },

    async *list() {
      for (const name of await readdir(folder)) {
        if (name.length !== 2) continue
        for (const hash of await readdir(join(folder, name))) {
          const found = await stat(pathOf(hash)).catch(absent)
          if (found) yield { hash, bytes: contentBytes(found.size) ?? found.size, storedAt: Math.floor(found.mtimeMs) }
        }
      }
    },

    async delete(hash, { storedBefore = Number.POSITIVE_INFINITY } = {}) {
      if (!hashPattern.test(hash)) return
      await turns.take(hash, async () => {
        const found = await stat(pathOf(hash)).catch(absent)
        if (found !== undefined && found.mtimeMs < storedBefore) await unlink(pathOf(hash))
      })
    },
  }
}

function toStream(reader: BlobReader): Readable {
  return new Readable({
    read() {
      reader.next().then(
        (chunk) => this.push(chunk ?? null),
        (error) => this.destroy(error),
      )
    },
    destroy(error, done) {
      reader.close().then(
        () => done(error),
        (closeError) => done(error ?? closeError),
      )
    },
  })
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

/** What a full disk, a quota or a file-size limit say becomes `storage_full`. */
function fullOr(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'EFBIG') return error
  return new EdgeError('storage_full', 'The disk is full: the blob was not stored.', { cause: error })
}
