/** The one way for tests to wait for something: it ends, so that no test outlives its limit, and says what it waited for. */
import { inspect } from 'node:util'

/** Looks every 20 ms. Rejects after `limitMs` with `what` and what `seen` gives then, such as what was there instead. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  limitMs = 10_000,
  seen?: () => unknown,
): Promise<void> {
  const end = Date.now() + limitMs
  while (!(await condition())) {
    if (Date.now() > end) {
      const last = seen === undefined ? '' : `; last seen: ${inspect(await seen())}`
      throw new Error(`not within ${limitMs} ms: ${what}${last}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
