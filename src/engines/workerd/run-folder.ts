/** Where the sockets of cells lie while a node runs. */
import { createHash } from 'node:crypto'
import { lstat, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EdgeError } from '#/core/errors.ts'

/**
 * Not below the node's folder, because a unix socket's path has at most 107 bytes. The same folder gets the same one, so that
 * what a killed node left behind is found by the next. Rejects with `folder_in_use` where it is somebody else's.
 */
export async function openRunFolder(data: string): Promise<string> {
  const name = createHash('sha256').update(data).digest('hex').slice(0, 16)
  const folder = join(tmpdir(), `rimward-${name}`)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { uid, mode } = await lstat(folder)
  // In a folder that everybody may write to, somebody else could have made it first.
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0)
    throw new EdgeError('folder_in_use', `The folder ${folder} belongs to somebody else; remove it or set TMPDIR.`)
  return folder
}
