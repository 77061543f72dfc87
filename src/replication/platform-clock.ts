/**
 * What time it is on the platform: this node's clock, corrected by what most nodes say when that differs by more than the
 * tolerance. Between two measurements it goes by the monotonic clock, so that a clock that is set moves no stamps; a node
 * that measured nobody follows its own clock.
 */
import type { Clock, EpochMs, Milliseconds } from '#/core/units.ts'
import { platformOffset } from './hybrid-time.ts'

export interface PlatformClock {
  now(): EpochMs
  /** This node's own clock, uncorrected: what peers measure. */
  own(): EpochMs
  /** A peer's own clock, read `rtt` long ago at most. */
  measured(peer: string, theirs: EpochMs, rtt: Milliseconds): void
  /** Forgets a peer that cannot be measured any more; with the last one gone the correction stays. */
  lost(peer: string): void
  /** Of a peer's clock against ours; absent before it was measured. */
  skewOf(peer: string): Milliseconds | undefined
  /** What is added to this node's own clock. */
  correction(): Milliseconds
}

export interface PlatformClockParts {
  readonly clock: Clock
  /** Milliseconds that never go back. */
  readonly monotonic: () => Milliseconds
  readonly tolerance: Milliseconds
}

export function createPlatformClock({ clock, monotonic, tolerance }: PlatformClockParts): PlatformClock {
  const offsets = new Map<string, Milliseconds>()
  let anchor: { readonly wall: EpochMs; readonly at: Milliseconds } | undefined
  let correction = 0

  /** This node's clock as it would be, had nobody set it since the last measurement. */
  function steady(): EpochMs {
    const wall = clock()
    if (anchor === undefined) return wall
    const expected = anchor.wall + (monotonic() - anchor.at)
    return Math.abs(wall - expected) > tolerance ? Math.round(expected) : wall
  }

  return {
    now: () => steady() + correction,
    own: steady,
    measured(peer, theirs, rtt) {
      const ours = steady()
      anchor = { wall: ours, at: monotonic() }
      offsets.set(peer, theirs + rtt / 2 - ours)
      correction = Math.round(platformOffset([...offsets.values()], tolerance))
    },
    lost(peer) {
      offsets.delete(peer)
    },
    skewOf: (peer) => offsets.get(peer),
    correction: () => Math.round(steady() - clock()) + correction,
  }
}
