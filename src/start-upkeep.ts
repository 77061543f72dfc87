/** What goes on beside the requests of a process: reports of its nodes, sweeping, schedules. */
import { setTimeout as pause } from 'node:timers/promises'
import type { AssetUploads } from '#/control/assets-uploads.ts'
import type { CertificateBook } from '#/control/certificates/certificates.ts'
import type { Control } from '#/control/control.ts'
import { createNodeReports, type NodeReports } from '#/control/node-reports.ts'
import { runSchedules } from '#/control/schedules.ts'
import type { Closer } from '#/core/closer.ts'
import type { Limits } from '#/core/limits.ts'
import type { Fabric } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import { startScheduled } from '#/core/workflow-schedules.ts'
import type { CopiedFabric } from '#/fabric/copied/fabric.ts'
import { urlsOf } from './node-addresses.ts'
import type { Pop } from './pop.ts'

export interface UpkeepParts {
  readonly control: Control
  readonly pops: readonly Pop[]
  readonly uploads: Pick<AssetUploads, 'inUse'>
  readonly certificates: Pick<CertificateBook, 'blobsInUse'>
  readonly fabric: Fabric
  readonly fabrics: readonly { readonly fabric: Fabric }[]
  readonly version: string
  readonly limits: Limits
  readonly clock: Clock
}

/** What is known of all nodes of the platform. */
export function openReports({ fabric, pops, limits, clock, version }: UpkeepParts, closer: Closer): NodeReports {
  const startedAt = clock()
  const own = () =>
    pops.map((pop) => ({
      ...pop.place,
      ...urlsOf(pop),
      version,
      startedAt,
      ...pop.follower.status(),
      ...pop.metrics.totals(),
    }))
  const meshes = pops.flatMap(({ mesh }) => mesh ?? [])
  const reports = createNodeReports({ fabric, meshes, own, limits, clock })
  closer.add(() => reports.close())
  return reports
}

/** Removes what nothing names any more. */
export function startSweeping(parts: UpkeepParts, closer: Closer): void {
  const { control, pops, uploads, certificates, fabrics, limits, clock } = parts
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
        yield* certificates.blobsInUse()
      })
      .catch((error) => first.log.logger.error({ err: error }, 'sweeping blobs failed'))
  }, limits.blobSweepMs)
  sweeping.unref()
  closer.add(() => clearInterval(sweeping))
}

/** Crons of all programs, at one node of the platform. */
export function startSchedules({ control, pops, fabric, limits, clock }: UpkeepParts, closer: Closer): void {
  const [first] = pops as [Pop]
  const stop = runSchedules({
    ...{ fabric, limits, clock },
    snapshot: () => control.snapshot,
    deliver: (program, event) => first.events.deliver(program, event),
    startWorkflow: (workflow, schedule, index) => startScheduled(first.homed, workflow, schedule, index),
    monotonic: () => performance.now(),
    wait: (ms, signal) => pause(ms, undefined, { signal, ref: false }).catch(() => {}),
    log: (message, facts) => first.log.logger.info(facts, message),
  })
  closer.add(stop)
}
