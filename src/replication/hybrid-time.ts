/**
 * Hybrid time: milliseconds since 1970 with a counter below them, in one integer (exact until the year 2109). A later write
 * of a key gets a later time than the one it replaces, whatever the clocks say.
 */
import type { EpochMs, Milliseconds } from '#/core/units.ts'

export type HybridTime = number & { readonly unit?: 'hybrid' }

/** Times within one millisecond; more writes of one key in a row run ahead of the clock. */
const perMs = 2048

export function hybridTime(ms: EpochMs): HybridTime {
  return Math.floor(ms) * perMs
}

export function physical(time: HybridTime): EpochMs {
  return Math.floor(time / perMs)
}

/** For a write that replaces one of `before`: never before it. */
export function nextTime(now: EpochMs, before: HybridTime | undefined): HybridTime {
  return before === undefined ? hybridTime(now) : Math.max(hybridTime(now), before + 1)
}

/** When and by whom a value was written: what decides between two. */
export interface Stamp {
  readonly time: HybridTime
  /** Node and its database; breaks ties. */
  readonly writer: string
}

/** Last writer wins; the same write is not later than itself. */
export function isLater(one: Stamp, other: Stamp): boolean {
  return one.time === other.time ? one.writer > other.writer : one.time > other.time
}

/** By how much the clocks of others are ahead of this one, in order: the lower median with our own 0 among them. */
export function platformOffset(offsets: readonly Milliseconds[], tolerance: Milliseconds): Milliseconds {
  const sorted = [0, ...offsets].sort((one, other) => one - other)
  const median = sorted[Math.floor((sorted.length - 1) / 2)]!
  return Math.abs(median) > tolerance ? median : 0
}
