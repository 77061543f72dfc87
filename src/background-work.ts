/** What a platform does by itself, beside answering. */
import { setTimeout as pause } from 'node:timers/promises'
import { runSchedules } from '#/control/schedules.ts'
import type { Closer } from '#/core/closer.ts'
import type { CopiedFabric } from '#/fabric/copied/fabric.ts'
import type { Running } from './platform.ts'
import type { Pop } from './pop.ts'

/** Removes what nothing names any more: blobs, and copies of them. */
export function startSweeping({ control, pops, uploads, fabrics, limits, clock }: Running, closer: Closer): void {
  const [first] = pops as [Pop]
  const sweeping = setInterval(() => {
    for (const { fabric } of fabrics)
      if ('sweepCopy' in fabric)
        (fabric as CopiedFabric)
          .sweepCopy(clock() - limits.blobGraceMs)
          .catch((error) => first.log.logger.error({ err: error }, 'sweeping the copy failed'))
    control
      .sweep(async function* () {
        yield* uploads.inUse()
      })
      .catch((error) => first.log.logger.error({ err: error }, 'sweeping blobs failed'))
  }, limits.blobSweepMs)
  sweeping.unref()
  closer.add(() => clearInterval(sweeping))
}

/** Crons of all programs, at one node of the platform. */
export function startSchedules({ control, pops, fabric, limits, clock }: Running, closer: Closer): void {
  const [first] = pops as [Pop]
  const stop = runSchedules({
    ...{ fabric, limits, clock },
    snapshot: () => control.snapshot,
    deliver: (program, event) => first.events.deliver(program, event),
    monotonic: () => performance.now(),
    wait: (ms, signal) => pause(ms, undefined, { signal, ref: false }).catch(() => {}),
    log: (message, facts) => first.log.logger.info(facts, message),
  })
  closer.add(stop)
}
