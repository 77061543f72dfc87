/**
 * Loaded into the process of every test file by `npm test`: ends it when a loop that polls or an open socket keeps it alive
 * after its tests have passed or timed out. One such file would hold up the whole run for ever.
 */
import { isMainThread } from 'node:worker_threads'

/** Longer than any file takes on a busy machine. */
const fileMinutes = 8

if (isMainThread && process.env.NODE_TEST_CONTEXT !== undefined)
  setTimeout(() => {
    const by = process.getActiveResourcesInfo().join(', ')
    console.error(`${process.argv[1]} still runs after ${fileMinutes} minutes; what keeps it alive: ${by}`)
    process.exit(1)
  }, fileMinutes * 60_000).unref()
