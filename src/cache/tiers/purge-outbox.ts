/** Tells one node of purges: many at once when many come, several batches on their way, answers counted for each purge. */
import type { Limits } from '#/core/limits.ts'
import type { Milliseconds } from '#/core/units.ts'
import type { KeptPurge } from './purge-log.ts'

/** True when the node has applied it; false when it could not be told. */
export type Told = Promise<boolean>

export interface PurgeOutbox {
  tell(purge: KeptPurge): Told
}

interface Batch {
  readonly purges: KeptPurge[]
  readonly told: PromiseWithResolvers<boolean>
}

/** A round trip costs both sides about as much as a hundred purges in one body. */
const gatherMs: Milliseconds = 4

/** `send` rejects when the node did not apply them. */
export function createPurgeOutbox(
  send: (purges: readonly KeptPurge[]) => Promise<void>,
  limits: Pick<Limits, 'purgeBatches' | 'purgeBatchBytes'>,
): PurgeOutbox {
  const waiting: Batch[] = []
  let waitingBytes = 0
  let underway = 0
  let rests = false

  function flush(): void {
    const batch = waiting.shift()
    if (batch === undefined) return
    if (waiting.length === 0) waitingBytes = 0
    underway++
    rests = true
    setTimeout(() => {
      rests = false
      goOn()
    }, gatherMs).unref()
    send(batch.purges)
      .then(
        () => batch.told.resolve(true),
        () => batch.told.resolve(false),
      )
      .finally(() => {
        underway--
        goOn()
      })
  }

  function goOn(): void {
    if (!rests && underway < limits.purgeBatches) flush()
  }

  return {
    tell(purge) {
      if (waiting.length === 0 || waitingBytes + purge.line.length > limits.purgeBatchBytes) {
        waiting.push({ purges: [], told: Promise.withResolvers() })
        waitingBytes = 0
        // In a moment: purges of the same turn go together.
        if (waiting.length === 1) queueMicrotask(goOn)
      }
      const batch = waiting.at(-1)!
      batch.purges.push(purge)
      waitingBytes += purge.line.length
      return batch.told.promise
    },
  }
}
