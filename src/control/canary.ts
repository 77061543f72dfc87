/**
 * A canary: one point of presence serves a change for a while before it is committed. When it answers with more errors than
 * before, it goes back by itself and the change is refused with the reason; the others never saw it.
 */
import { z } from 'zod'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { PopId } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import type { Clock, Milliseconds } from '#/core/units.ts'
import type { Follower } from './follower.ts'
import { Refusal } from './refusal.ts'

export const canarySetting = z.strictObject({
  pop: z.string().describe('Serves each change first.'),
  windowMs: z.int().min(100).max(600_000).describe('For so long, before the others do.'),
})
/** A setting of the platform. */
export type CanarySetting = z.infer<typeof canarySetting>

/** Answers since the node started. */
export interface AnswerCounts {
  readonly requests: number
  /** With a status of 500 and more. */
  readonly errors: number
}

export interface RolledOutNode {
  readonly pop: PopId
  readonly follower: Pick<Follower, 'adopt' | 'follow'>
  readonly counts: () => AnswerCounts
}

export interface Rollout {
  /** Before a change is committed: every node of this process serves it when this resolves. */
  adopt(snapshot: Snapshot): Promise<void>
  setting(): Promise<CanarySetting | undefined>
  /** Throws `bad_request` where the platform has no such point of presence; undefined turns it off. */
  set(setting: CanarySetting | undefined): Promise<void>
}

interface Parts {
  readonly fabric: Pick<Fabric, 'bucket'>
  readonly nodes: readonly RolledOutNode[]
  /** Points of presence that other processes run. */
  readonly elsewhere: () => readonly PopId[]
  readonly limits: Pick<Limits, 'canaryLookMs'>
  readonly clock: Clock
  readonly pause: (ms: Milliseconds) => Promise<unknown>
}

const key = 'canary'

export function createRollout({ fabric, nodes, elsewhere, limits, clock, pause }: Parts): Rollout {
  const bucket = fabric.bucket('platform')

  async function setting(): Promise<CanarySetting | undefined> {
    const entry = await bucket.get(key)
    return entry && canarySetting.parse(JSON.parse(Buffer.from(entry.value).toString()))
  }

  /** Watches the canary; throws a `Refusal` (`canary_failed`) as soon as it answers worse than before. */
  async function watch({ pop, windowMs }: CanarySetting, canaries: readonly RolledOutNode[], before: AnswerCounts) {
    const start = total(canaries)
    const end = clock() + windowMs
    for (;;) {
      const now = total(canaries)
      const during = { requests: now.requests - start.requests, errors: now.errors - start.errors }
      if (isWorse(before, during))
        throw new Refusal(
          'canary_failed',
          `At ${pop}, which tried this change first, ${during.errors} of ${during.requests} answers were errors; before, ${before.errors} of ${before.requests}. It serves what was before again.`,
        )
      if (clock() >= end) return
      await pause(Math.min(limits.canaryLookMs, windowMs))
    }
  }

  return {
    setting,
    async adopt(snapshot) {
      const canary = await setting()
      const canaries = canary === undefined ? [] : nodes.filter(({ pop }) => pop === canary.pop)
      if (canary !== undefined && canaries.length === 0)
        throw new Refusal(
          'canary_failed',
          `Changes go to ${canary.pop} first, which this process does not run and cannot reach: use the API there, or turn the canary off.`,
        )
      if (canary !== undefined) {
        const before = total(canaries)
        await adoptAll(canaries, snapshot)
        await watch(canary, canaries, before)
      }
      await adoptAll(
        nodes.filter((node) => !canaries.includes(node)),
        snapshot,
      )
    },
    async set(wish) {
      if (wish === undefined) {
        await bucket.delete(key)
        return
      }
      if (!nodes.some(({ pop }) => pop === wish.pop) && !elsewhere().includes(wish.pop))
        throw new EdgeError('bad_request', `There is no point of presence named "${wish.pop}".`)
      await bucket.put(key, Buffer.from(JSON.stringify(wish)))
    },
  }
}

/** Rejects once all are done, with what the first failure was. */
async function adoptAll(nodes: readonly RolledOutNode[], snapshot: Snapshot): Promise<void> {
  const done = await Promise.allSettled(nodes.map(({ follower }) => follower.adopt(snapshot)))
  for (const one of done) if (one.status === 'rejected') throw one.reason
}

function total(nodes: readonly RolledOutNode[]): AnswerCounts {
  let [requests, errors] = [0, 0]
  for (const { counts } of nodes) {
    const now = counts()
    requests += now.requests
    errors += now.errors
  }
  return { requests, errors }
}

/**
 * More errors than the share of before lets expect, and more than chance explains: three times the deviation of as many
 * rare events. Where there was none before, one is too many.
 */
export function isWorse(before: AnswerCounts, during: AnswerCounts): boolean {
  if (during.errors === 0) return false
  const expected = before.requests === 0 ? 0 : (before.errors / before.requests) * during.requests
  return during.errors > expected + 3 * Math.sqrt(expected)
}
