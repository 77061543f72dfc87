import { open } from 'node:fs/promises'

/** Makes the names of new files in a folder outlive a power cut (fsync(2), «NOTES»). */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
