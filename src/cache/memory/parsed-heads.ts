/** Which entries keep their parsed head: a ring with one hand (CLOCK), so that the often used ones stay. */
import type { MemoryEntry } from './memory-entry.ts'

export interface ParsedHeads {
  /** Called when an entry has a parsed head; another one may lose its own. */
  readonly remember: (entry: MemoryEntry) => void
}

/** How far the hand goes for one newcomer before it takes whatever is there. */
const longestSweep = 16

export function createParsedHeads(count: number): ParsedHeads {
  const ring: (MemoryEntry | undefined)[] = new Array(count).fill(undefined)
  let hand = 0
  return {
    remember(entry) {
      for (let step = 0; step < longestSweep; step++) {
        const resident = ring[hand]
        if (resident === undefined || !resident.live || !resident.warm) break
        resident.warm = false
        hand = hand + 1 === count ? 0 : hand + 1
      }
      ring[hand]?.forgetParsed()
      ring[hand] = entry
      hand = hand + 1 === count ? 0 : hand + 1
    },
  }
}
