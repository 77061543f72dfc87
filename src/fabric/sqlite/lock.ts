/**
 * One process a folder. The lock is SQLite's own exclusive lock on an empty file: the operating system drops it with the
 * process, so a file left behind by SIGKILL blocks nobody.
 */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { EdgeError } from '#/core/errors.ts'

/** Takes the folder until the returned function is called. Throws `folder_in_use`. */
export function lockFolder(folder: string): () => void {
  const database = new DatabaseSync(join(folder, 'lock'))
  try {
    database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode !== 5) throw error
    throw new EdgeError('folder_in_use', `Another Rimward runs on ${folder}: stop it first, or choose another folder.`)
  }
  return () => database.close()
}
