/** What a bucket's rules and the platform's own say of age: applied by its home, now and then. */
import { type LifecycleRule, reachedBefore } from '#/core/bucket-settings.ts'
import type { EpochMs } from '#/core/units.ts'
import type { OpenedBucket } from './open-bucket.ts'
import type { Aged } from './read-index.ts'

export interface Applied {
  readonly expired: number
  readonly demoted: number
}

/** Deletes, gives another class and aborts, in that order, what has reached its rule at `now`. Stops when `isOver`. */
export async function applyLifecycle(
  bucket: Pick<OpenedBucket, 'read' | 'write'>,
  rules: readonly LifecycleRule[],
  now: EpochMs,
  isOver: () => boolean,
): Promise<Applied> {
  let expired = 0
  let demoted = 0
  for (const rule of rules) {
    if (!rule.enabled) continue
    const { prefix = '' } = rule.conditions
    const { deleteObjectsTransition, storageClassTransitions = [], abortMultipartUploadsTransition } = rule
    const before = deleteObjectsTransition && reachedBefore(deleteObjectsTransition.condition, now)
    if (before !== undefined) expired += await age(bucket, 'expire', prefix, before, isOver)
    for (const { condition } of storageClassTransitions) {
      const since = reachedBefore(condition, now)
      if (since !== undefined) demoted += await age(bucket, 'demote', prefix, since, isOver)
    }
    const begun = abortMultipartUploadsTransition && reachedBefore(abortMultipartUploadsTransition.condition, now)
    if (begun !== undefined && !isOver()) await bucket.write({ do: 'expire-uploads', before: begun, prefix })
  }
  return { expired, demoted }
}

async function age(
  bucket: Pick<OpenedBucket, 'read' | 'write'>,
  what: 'expire' | 'demote',
  prefix: string,
  before: EpochMs,
  isOver: () => boolean,
): Promise<number> {
  let count = 0
  let after: string | undefined = ''
  const standard = what === 'demote' ? ({ standard: true } as const) : {}
  while (after !== undefined && !isOver()) {
    const { versions, next } = (await bucket.read({ do: 'aged', prefix, after, before, ...standard })) as Aged
    if (versions.length > 0) count += ((await bucket.write({ do: what, versions })) as { count: number }).count
    after = next
  }
  return count
}
