/** What two nodes tell each other on a new link, and again from time to time: who runs there, and what its clock says. */
import type { MeshHead } from '#/core/mesh.ts'
import type { EpochMs, Milliseconds } from '#/core/units.ts'

export interface Hello {
  readonly version: string
  readonly startedAt: EpochMs
  /** Of the running process: tells apart two that use the same key. */
  readonly instance: string
  readonly now: EpochMs
}

export function readHello(head: MeshHead): Hello {
  const { version, startedAt, instance, now } = head
  return { version: String(version), startedAt: Number(startedAt), instance: String(instance), now: Number(now) }
}

/** How far the other clock is ahead, when its answer was written halfway between the two times of ours. */
export function skewOf(theirs: EpochMs, sentAt: EpochMs, receivedAt: EpochMs): Milliseconds {
  return Math.round(theirs - (sentAt + receivedAt) / 2)
}

/** For people: `3 min ahead of`. */
export function describeSkew(skew: Milliseconds): string {
  const seconds = Math.round(Math.abs(skew) / 1000)
  const amount = seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`
  return `${amount} ${skew > 0 ? 'ahead of' : 'behind'}`
}
