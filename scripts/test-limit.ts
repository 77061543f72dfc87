/**
 * Loaded into the process of every test file by `npm test`: ends it when a loop that polls or an open socket keeps it alive
 * after its tests have passed or timed out. One such file would hold up the whole run for ever.
 */
import { after } from 'node:test'
import { isMainThread } from 'node:worker_threads'

/** Longer than any file takes on a busy machine. */
const fileMinutes = 8
/** After its last test; what it closes then is included. */
const leaveSeconds = 60

/** Unreferenced: a process that ends by itself is not kept. */
function endAfter(seconds: number, when: string): void {
  setTimeout(() => {
    const by = process.getActiveResourcesInfo().join(', ')
    console.error(`${process.argv[1]} still runs ${when}; what keeps it alive: ${by}`)
    process.exit(1)
  }, seconds * 1000).unref()
}

if (isMainThread && process.env.NODE_TEST_CONTEXT !== undefined) {
  endAfter(fileMinutes * 60, `after ${fileMinutes} minutes`)
  after(() => endAfter(leaveSeconds, `${leaveSeconds} seconds after its tests`))
}
