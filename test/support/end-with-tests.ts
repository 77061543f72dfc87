/**
 * Loaded before each test file (`scripts/test.ts`): a file whose tests are over and whose process goes on, such as one with a
 * loop that outlives its test's timeout, says what keeps it alive and fails, instead of holding up all the others for ever.
 */
import { after } from 'node:test'

const graceMs = 30_000

// The runner itself has no tests.
if (process.env.NODE_TEST_CONTEXT !== undefined)
  after(() => {
    // Unreferenced: a process that ends by itself is not kept.
    setTimeout(() => {
      console.error(`Its tests were over ${graceMs} ms ago, and it has not ended:`, process.getActiveResourcesInfo())
      process.exit(1)
    }, graceMs).unref()
  })
