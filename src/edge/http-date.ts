/**
 * The value of the Date field (RFC 9110 §6.6.1), made once a second.
 */
import type { Clock } from '#/core/units.ts'

export function createHttpDate(clock: Clock): () => string {
  let second = 0
  let date = ''
  return () => {
    const now = Math.floor(clock() / 1000)
    if (now !== second) {
      second = now
      date = new Date(now * 1000).toUTCString()
    }
    return date
  }
}
