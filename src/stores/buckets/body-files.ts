/**
 * The files of one bucket's bodies: `bodies/FOLDER/NUMBER`, each written once, whole and synced before the index names it.
 * Files that nothing names any more are removed once nobody can be reading them.
 */
import { type FileHandle, mkdir, open, readdir, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileName } from './rows.ts'
import { createFolderSync } from './sync-folder.ts'

export interface BodyFiles {
  /** A new file. */
  create(): Promise<NewFile>
  open(file: FileName): Promise<FileHandle>
  /**
   * To be called before the index is asked where bytes are. Whatever it names then stays until the pin is released, which
   * says what it named, or nothing.
   */
  lookUp(): (files: readonly FileName[]) => () => void
  /** The index names these no longer. */
  discard(files: readonly FileName[]): void
  /** Names in folders that were there at the start: what a process that died may have left, folder by folder, once. */
  leftOver(): AsyncGenerator<readonly FileName[]>
  /** Resolves when nothing is being removed. */
  settled(): Promise<void>
}

export interface NewFile {
  readonly file: FileName
  readonly handle: FileHandle
  /** Closes it; its bytes and its name outlive a power cut. */
  keep(): Promise<void>
  /** Closes and removes it. */
  drop(): Promise<void>
}

/** More files than this in a folder make listing it slow. */
const filesPerFolder = 4096

export async function openBodyFiles(
  folder: string,
  report: (message: string, error: unknown) => void,
): Promise<BodyFiles> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const before = (await readdir(folder)).filter((name) => /^\d+$/.test(name)).toSorted()
  const sync = createFolderSync()
  const garbage = createGarbage((file) => removeFile(file))
  let current = Number(before.at(-1) ?? 0)
  let made = filesPerFolder
  let making: Promise<void> = Promise.resolve()

  async function removeFile(file: FileName): Promise<void> {
    await unlink(join(folder, file)).catch((error: NodeJS.ErrnoException) => {
      // What stays is found at the next start.
      if (error.code !== 'ENOENT') report('a body that nothing names was not removed', error)
    })
  }

  function nextFolder(): Promise<void> {
    const next = join(folder, String(++current).padStart(8, '0'))
    made = 0
    return mkdir(next, { recursive: true, mode: 0o700 }).then(() => sync(folder))
  }

  return {
    async create() {
      if (made >= filesPerFolder) making = nextFolder()
      const file = `${String(current).padStart(8, '0')}/${made++}`
      await making
      const handle = await open(join(folder, file), 'wx', 0o600)
      return {
        file,
        handle,
        async keep() {
          await handle.datasync()
          await handle.close()
          await sync(join(folder, file, '..'))
        },
        async drop() {
          await handle.close().catch(() => {})
          await removeFile(file)
        },
      }
    },
    open: (file) => open(join(folder, file)),
    lookUp: garbage.lookUp,
    discard: garbage.discard,
    settled: garbage.settled,
    async *leftOver() {
      for (const name of before.splice(0)) {
        const files = await readdir(join(folder, name))
        yield files.map((file) => `${name}/${file}`)
        await garbage.settled()
        // Only an empty one goes.
        await rmdir(join(folder, name)).catch(() => {})
      }
    },
  }
}

/**
 * A file that the index named when it was asked may be discarded before the asker has opened it. So a discarded file goes
 * when everyone who had asked by then knows what was named, and nobody holds it.
 */
function createGarbage(remove: (file: FileName) => Promise<void>) {
  const held = new Map<FileName, number>()
  const waiting = new Map<FileName, number>()
  /** Numbers of look-ups whose outcome is not known yet, in order. */
  const asking = new Set<number>()
  const removing = new Set<Promise<void>>()
  let asked = 0

  function sweep(): void {
    const oldest = asking.values().next().value ?? asked + 1
    for (const [file, since] of waiting) {
      if (since >= oldest || held.has(file)) continue
      waiting.delete(file)
      const work = remove(file).finally(() => removing.delete(work))
      removing.add(work)
    }
  }

  function release(files: readonly FileName[]): void {
    for (const file of files) {
      const left = held.get(file)! - 1
      if (left === 0) held.delete(file)
      else held.set(file, left)
    }
    if (waiting.size > 0) sweep()
  }

  return {
    lookUp() {
      const number = ++asked
      asking.add(number)
      return (files: readonly FileName[]) => {
        asking.delete(number)
        for (const file of files) held.set(file, (held.get(file) ?? 0) + 1)
        if (waiting.size > 0) sweep()
        let isReleased = false
        return () => {
          if (isReleased) return
          isReleased = true
          release(files)
        }
      }
    },
    discard(files: readonly FileName[]) {
      if (files.length === 0) return
      for (const file of files) waiting.set(file, asked)
      sweep()
    },
    async settled() {
      while (removing.size > 0) await Promise.all(removing)
    },
  }
}
