import { open } from 'node:fs/promises'

/**
 * Makes the names of new files in a folder outlive a power cut (fsync(2), «NOTES»). Callers that come while one sync runs
 * share the next.
 */
export function createFolderSync(): (folder: string) => Promise<void> {
  const running = new Map<string, { readonly now: Promise<void>; next: Promise<void> | undefined }>()

  function start(folder: string): Promise<void> {
    const now = syncOnce(folder).finally(() => {
      if (running.get(folder)?.next === undefined) running.delete(folder)
    })
    running.set(folder, { now, next: undefined })
    return now
  }

  return (folder) => {
    const known = running.get(folder)
    if (known === undefined) return start(folder)
    // The one that runs may have begun before this caller's file had its name.
    known.next ??= known.now.then(
      () => start(folder),
      () => start(folder),
    )
    return known.next
  }
}

async function syncOnce(folder: string): Promise<void> {
  const handle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
