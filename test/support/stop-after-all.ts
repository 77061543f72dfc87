/** What all tests of a file, or of a `describe`, share is started in `before`, whose own clean-up runs before the tests. */
import { after, type TestContext } from 'node:test'

/** For the `t` of what starts servers: what it is given runs when all tests are over, the last first. Called outside of hooks. */
export function stopAfterAll(): Pick<TestContext, 'after'> {
  const stops: (() => unknown)[] = []
  after(async () => {
    for (const stop of stops) await stop()
  })
  return { after: (stop) => void stops.unshift(stop as () => unknown) }
}
