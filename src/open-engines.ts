/** The engines of one node, with all that they are handed. */

import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { createAssets } from '#/assets/assets.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import { joinEngines } from '#/core/join-engines.ts'
import { keepEngineInside } from '#/core/keep-inside.ts'
import type { Place } from '#/core/pops.ts'
import { chosenProgram } from '#/edge/own-hosts.ts'
import { createProgramEgress } from '#/edge/program-egress.ts'
import { createComputeEngine } from '#/engines/compute/engine.ts'
import { computeHostCalls } from '#/engines/compute/host-table.ts'
import { addLogMetrics } from '#/engines/compute/log-metrics.ts'
import { createLogSinks } from '#/engines/compute/log-sinks.ts'
import { createRateCounters } from '#/engines/compute/rate-counters.ts'
import { createWorkerdEngine } from '#/engines/workerd/engine.ts'
import { openOwnEngine } from '#/engines/workerd/own-engine.ts'
import { openRunFolder } from '#/engines/workerd/run-folder.ts'
import { secretCheck } from '#/http/same-secret.ts'
import type { openObjects } from '#/objects/open-objects.ts'
import { createProgramCalls } from '#/origin/own-programs.ts'
import { createConfigStores } from '#/stores/program-stores.ts'
import type { Parts, Stores, Ways } from './pop.ts'

/** A point of presence, as requests name it. */
export const popOf = ({ pop, country }: Place) => ({ id: pop, country })

/** What runs programs: Workers and Compute, as one. */
export async function openEngines(
  parts: Parts,
  stores: Stores & { readonly homed: HomedStores },
  ways: Ways,
  assets: ReturnType<typeof createAssets>,
  pops: ReturnType<typeof openObjects>,
) {
  const { folder, fabric, seal, live, limits, clock, say, closer, place } = parts
  const runFolder = await openRunFolder(folder)
  closer.add(() => rm(runFolder, { recursive: true, force: true }))
  await mkdir(join(folder, 'engine'), { recursive: true })
  const snapshot = () => live.snapshot
  const workers = await createWorkerdEngine({
    folder: join(folder, 'engine'),
    runFolder: join(runFolder, 'cells'),
    blobs: fabric.blobs,
    kv: stores.kv,
    homed: stores.homed,
    secrets: stores.secrets,
    seal,
    assets,
    egress: createProgramEgress({ egress: ways.egress, snapshot, pop: popOf(place), limits, clock }),
    dialer: ways.dialer,
    callProgram: createProgramCalls({
      chosen: (name) => chosenProgram(live.snapshot, name),
      engine: () => live.engine!,
      limits,
    }),
    programCache: ways.egress.programs,
    purge: ways.egress.purge,
    traces: parts.traces,
    limits,
    clock,
    log: say,
    ...(pops && { pops }),
    ownCells: openOwnEngine,
  })
  closer.add(() => workers.close())
  const compute = await createComputeEngine({
    folder: join(folder, 'engine', 'compute'),
    runFolder: join(runFolder, 'compute'),
    blobs: fabric.blobs,
    limits,
    clock,
    pop: popOf(place),
    customer: parts.accountId,
    log: say,
    hostCalls: openHostCalls(parts, stores, ways),
  })
  closer.add(() => compute.close())
  const slow = compute.slowReset
  return {
    engine: keepEngineInside(joinEngines(workers, compute), place.country),
    lacks: slow === undefined ? [] : [`Compute programs run slower here: ${slow}.`],
  }
}

/** What Compute programs may ask of the node. */
function openHostCalls(parts: Parts, { kv, items, secrets, accessLists }: Stores, { egress, health, dialer }: Ways) {
  const { seal, limits, clock, token, place, say, metrics, closer, locate, devices, output } = parts
  const sinks = createLogSinks({ egress, dialer, limits, hostname: place.pop, log: say })
  closer.add(() => sinks.close())
  addLogMetrics({ registry: metrics.registry, sinks, limits })
  return computeHostCalls({
    cache: egress,
    seal,
    limits,
    backendStates: (program) => health.states(program),
    lentHealth: health.lent,
    mayPurge: secretCheck(token),
    data: {
      kv,
      configs: createConfigStores({ stores: items }),
      secrets,
      accessLists,
      locate,
      ...(devices && { devices }),
      rates: createRateCounters({ limits, clock }),
      log: say,
      output,
      sinks,
      limits,
      clock,
    },
  })
}
