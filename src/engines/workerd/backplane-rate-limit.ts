/**
 * Rate limit bindings: counts at this node, a window after the other. As at Cloudflare a limit holds at each point of
 * presence by itself and forgets with the process; the newest keys stay when there are too many.
 */
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'
import { type BackplaneHandler, textAnswer } from './backplane.ts'

interface Window {
  /** Number of the window since 1970. */
  number: number
  count: number
}

interface Parts {
  readonly limits: Pick<Limits, 'rateLimitKeys' | 'rateLimitKeyBytes'>
  readonly clock: Clock
}

/** The id is the namespace; the body `{ key, limit, period }`, the period in seconds. Answers `{ success }`. */
export function rateLimitHandler({ limits, clock }: Parts): BackplaneHandler {
  const windows = new Map<string, Window>()

  function count(name: string, period: number): number {
    const number = Math.floor(clock() / (period * 1000))
    const found = windows.get(name)
    // The order of the map is that of the last use.
    windows.delete(name)
    const window = found?.number === number ? found : { number, count: 0 }
    windows.set(name, window)
    if (windows.size > limits.rateLimitKeys) windows.delete(windows.keys().next().value!)
    window.count += 1
    return window.count
  }

  return async ({ id, body }) => {
    const asked = Buffer.concat((await body?.toArray()) ?? []).toString()
    const { key, limit, period } = JSON.parse(asked) as { key: string; limit: number; period: number }
    const bytes = Buffer.byteLength(key)
    if (bytes > limits.rateLimitKeyBytes)
      return textAnswer(400, `The key has ${bytes} bytes, more than the ${limits.rateLimitKeyBytes} allowed.`)
    return textAnswer(200, JSON.stringify({ success: count(`${period} ${id} ${key}`, period) <= limit }))
  }
}
