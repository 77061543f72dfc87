/** Keys whose answers are not for sharing: their requests do not wait for each other («hit-for-miss»). */
import type { Clock, EpochMs, Milliseconds } from '#/core/units.ts'

export interface SoloKeys {
  has(key: string): boolean
  add(key: string): void
  delete(key: string): void
}

/** The oldest marks go first when there are more than `limit`; each ends after `ttl`. */
export function createSoloKeys({ limit, ttl, clock }: { limit: number; ttl: Milliseconds; clock: Clock }): SoloKeys {
  const until = new Map<string, EpochMs>()
  return {
    has(key) {
      if (until.size === 0) return false
      const end = until.get(key)
      if (end === undefined) return false
      if (clock() < end) return true
      until.delete(key)
      return false
    },
    add(key) {
      until.delete(key)
      until.set(key, clock() + ttl)
      if (until.size <= limit) return
      for (const oldest of until.keys()) {
        until.delete(oldest)
        break
      }
    },
    delete(key) {
      if (until.size > 0) until.delete(key)
    },
  }
}
