/** The Workers engine: shared cells for most programs, cells of their own for those that need one. */
import { setTimeout as pause } from 'node:timers/promises'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { changedPrograms } from '#/core/changed-sites.ts'
import type { Dialer } from '#/core/dialer.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Answer } from '#/core/exchange.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { ObjectHomes } from '#/core/object-homes.ts'
import type {
  Assets,
  Blobs,
  Egress,
  Engine,
  KvStores,
  ProgramAnswer,
  ProgramCache,
  ProgramCall,
  ProgramRequest,
  Seal,
  SecretStores,
} from '#/core/ports.ts'
import type { EventOutcome, ProgramEvent } from '#/core/program-events.ts'
import type { Deployment, DeploymentId, Program, ProgramName, Snapshot } from '#/core/snapshot.ts'
import type { Traces } from '#/core/traces.ts'
import type { Clock } from '#/core/units.ts'
import { createIsolates, deploymentOf, type Isolates } from './ask-cell.ts'
import type { BackplaneHandler } from './backplane.ts'
import { debugAddress } from './cell.ts'
import { isRepeatable } from './cell-client.ts'
import { CellFailure } from './cell-failure.ts'
import { cellHandlers } from './cell-handlers.ts'
import { type CellPool, createCellPool } from './cell-pool.ts'
import { createBundles } from './code-bundle.ts'
import { createDispatchedCalls, type DispatchedCalls } from './dispatched-calls.ts'
import { createGroup } from './group.ts'
import { createHeat } from './heat.ts'
import { type OwnCells, pickPlace, placeProgram, rememberPlaces } from './placement.ts'
import { endMadeByUs } from './program-event.ts'
import { createQuarantine, type Quarantine } from './quarantine.ts'
import { openRecent, type Recent } from './recent.ts'
import type { SharedCell } from './shared-cell.ts'

export interface WorkerdEngineOptions {
  /** Lasting: what was asked for lately. */
  readonly folder: string
  /** Sockets and processes; short path (< 60 bytes), emptied at start. */
  readonly runFolder: string
  readonly blobs: Blobs
  readonly kv: KvStores
  /** Of the stores whose secrets programs share. */
  readonly secrets: SecretStores
  /** Databases, buckets and the like. */
  readonly homed: HomedStores
  readonly seal: Seal
  readonly assets: Assets
  readonly egress: Egress
  /** For what is not HTTP. */
  readonly dialer: Dialer
  /** Asks a program of another engine that a Worker binds. Rejects like `Engine.run`. */
  readonly callProgram: (program: ProgramName, call: ProgramCall) => Promise<Answer>
  readonly programCache: ProgramCache
  /** Drops what the shared cache keeps in front of programs. */
  readonly purge: (wishes: readonly PurgeWish[]) => Promise<void>
  readonly traces: Traces
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (message: string, facts?: object) => void
  /** One of many nodes: Durable Objects live at one of them, programs may ask others. Absent: this is the only one. */
  readonly pops?: { readonly homes: ObjectHomes; readonly mesh: Mesh }
  /** Makes the cells of programs that cannot share one. Gets what every cell may ask of us. */
  readonly ownCells?: (
    handlers: Readonly<Record<string, BackplaneHandler>>,
    options: WorkerdEngineOptions & {
      readonly reachShared: (deployment: Deployment) => Promise<string>
      readonly dispatched: DispatchedCalls
    },
  ) => Promise<OwnCells>
}

/** Starts the cells; resolves when they can take requests. */
export async function createWorkerdEngine(options: WorkerdEngineOptions): Promise<Engine> {
  const { limits, clock, log, traces } = options
  let snapshot: Snapshot = { revision: 0, sites: [], programs: new Map() }
  /** Deployments by id, for cells that ask for code: those of the Snapshot and those in use. */
  const known = new Map<DeploymentId, Deployment>()
  const bundles = createBundles(options, limits)
  const dispatched = createDispatchedCalls(limits)
  const isolates = createIsolates(limits, traces, bundles)
  const handlers = cellHandlers({ ...options, isolates, bundles, known, dispatched, snapshot: () => snapshot })
  const reachShared = async (deployment: Deployment) => {
    known.set(deployment.id, deployment)
    return debugAddress((await pickPlace(deployment.id, pool.seats)!.cell).cell)
  }
  const ownCells = await options.ownCells?.(handlers, { ...options, dispatched, reachShared })
  let quarantine: Quarantine | undefined
  const pool = await createCellPool({
    runFolder: options.runFolder,
    handlers: ownCells === undefined ? handlers : { ...handlers, reach: ownCells.reach },
    limits,
    onLine: (cell, line) => log('cell says', { cell, line }),
    onLost(cell, reason) {
      log('cell lost', { cell: cell.cell.name, reason, hung: cell.hung })
      if (cell.hung && cell.busy.size === 1) quarantine?.hold(deploymentOf([...cell.busy.keys()][0]!))
    },
  })
  quarantine = createQuarantine({ takeSpare: pool.takeSpare, limits, clock })
  const recent = openRecent(options.folder, limits)
  const shared = createSharedRun({ pool, isolates, quarantine })

  const heat = createHeat(limits, (id) => {
    const deployment = known.get(id)
    const program = deployment && snapshot.programs.get(deployment.program)
    if (deployment && program) ownCells?.warm(program, deployment)
  })

  const serving = (id: DeploymentId): Deployment | undefined => {
    const deployment = known.get(id)
    const rollout = snapshot.programs.get(deployment?.program ?? '')?.rollout
    return rollout?.some((part) => part.deployment.id === id) === true ? deployment : undefined
  }
  const group =
    ownCells === undefined ? undefined : createGroup({ start: ownCells.startGroup, serving, limits, clock, log })

  /** A hot program whose cell cannot be had goes on in its shared cell. */
  async function runHot(own: OwnCells, program: Program, deployment: Deployment, request: ProgramRequest) {
    try {
      return await own.run(program, deployment, request)
    } catch (error) {
      if (!(error instanceof EdgeError) || error.code !== 'overloaded' || request.body !== null) throw error
      heat.refuse(deployment.id)
      return shared.run(deployment, request)
    }
  }

  /** In the group when it is a member. Traces come from the loader's isolates only; who hung a cell stays alone. */
  async function runShared(deployment: Deployment, request: ProgramRequest): Promise<ProgramAnswer> {
    const mayJoin = !traces.wanted(deployment.program) && quarantine?.holds(deployment.id) !== true
    if (mayJoin && group?.takes(deployment.id, request) === true) {
      const answer = await group.run(deployment, request)
      if (answer !== undefined) return answer
    }
    return shared.run(deployment, request)
  }

  function needOwn(program: Program, deployment: Deployment): OwnCells | undefined {
    const place = placeProgram(program, deployment, limits)
    if (place.kind === 'shared') return undefined
    if (ownCells === undefined)
      throw new EdgeError('program_start_failed', `${program.name} needs a cell of its own (${place.why}).`)
    return ownCells
  }

  return {
    async run(program, deployment, request) {
      recent.note(program.name)
      const own = needOwn(program, deployment)
      if (own !== undefined) return own.run(program, deployment, request)
      known.set(deployment.id, deployment)
      if (ownCells !== undefined && heat.note(deployment.id)) return runHot(ownCells, program, deployment, request)
      return runShared(deployment, request)
    },
    async deliver(program, deployment, event) {
      recent.note(program.name)
      known.set(deployment.id, deployment)
      try {
        return await (needOwn(program, deployment) ?? shared).deliver(program, deployment, event)
      } catch (thrown) {
        const ended = endMadeByUs(thrown, deployment)
        if (ended === undefined) throw thrown
        return ended
      }
    },
    warm(program, deployment) {
      try {
        const own = needOwn(program, deployment)
        if (own !== undefined) return own.warm(program, deployment)
        known.set(deployment.id, deployment)
        shared.load(deployment).catch(() => {})
      } catch {
        // A hint only: the request itself will hear of it.
      }
    },
    async prove(program, deployment) {
      if (ownCells === undefined) throw new EdgeError('internal', 'This engine cannot prove programs.')
      const proof = await ownCells.prove(program, deployment)
      // What was just deployed is likely to be asked for soon; without its code here, it is read when it is.
      if (placeProgram(program, deployment, limits).kind === 'shared') bundles.read(deployment).catch(() => {})
      return proof
    },
    async adopt(next) {
      for (const { rollout } of changedPrograms(snapshot.programs, next.programs).come)
        for (const { deployment } of rollout) known.set(deployment.id, deployment)
      await Promise.race([
        warmRecent(next, recent, shared, limits),
        pause(limits.programStartMs, undefined, { ref: false }),
      ])
      await ownCells?.adopt(next)
      snapshot = next
      await retain(pool, isolates, () => snapshot, known, limits)
    },
    async forget(objects) {
      await ownCells?.forget(objects)
    },
    async close() {
      recent.close()
      heat.close()
      await group?.close()
      quarantine?.close()
      await Promise.all([pool.close(), ownCells?.close()])
    },
  }
}

type Repeatable = Parameters<typeof isRepeatable>[0]

interface SharedRun {
  run(deployment: Deployment, request: ProgramRequest): Promise<ProgramAnswer>
  /** Once: what it interrupted may have done half of its work. */
  deliver(program: Program, deployment: Deployment, event: ProgramEvent): Promise<EventOutcome>
  load(deployment: Deployment): Promise<void>
}

/** Runs in the program's seat; what a lost cell interrupted is tried again where that is safe. */
function createSharedRun(parts: { pool: CellPool; isolates: Isolates; quarantine: Quarantine }): SharedRun {
  const { pool, isolates, quarantine } = parts
  const seatOf = rememberPlaces(pool.seats)

  /** Rejects unless the request may be sent again. */
  async function judge(failure: unknown, cell: SharedCell, deployment: Deployment, request: Repeatable) {
    if (!(failure instanceof CellFailure)) throw failure
    if (failure.kind === 'full') throw new EdgeError('overloaded', failure.message)
    const alone = cell.hung && [...cell.busy.keys()].every((id) => deploymentOf(id) === deployment.id)
    if (cell.hung) quarantine.hold(deployment.id)
    if (failure.responded || !isRepeatable(request)) {
      if (alone) throw new EdgeError('program_exceeded_limits', `${deployment.program} used the processor without end.`)
      throw new EdgeError('program_hung_up', 'The program ended before it answered.', { cause: failure })
    }
    // The connection breaks a moment before the process is seen to have ended.
    await Promise.race([cell.gone, pause(100, undefined, { ref: false })])
  }

  return {
    async load(deployment) {
      const cell = await seatOf(deployment.id).cell
      await isolates.load(cell, deployment)
    },
    async deliver(_program, deployment, event) {
      const tell = (cell: SharedCell) => isolates.deliver(cell, deployment, event)
      if (quarantine.holds(deployment.id)) return quarantine.run(deployment, tell)
      const cell = await seatOf(deployment.id).cell
      return tell(cell).catch(async (failure) => {
        await judge(failure, cell, deployment, { method: 'POST', body: null })
        throw failure
      })
    },
    async run(deployment, request) {
      for (let attempt = 0; attempt < 2; attempt++) {
        if (quarantine.holds(deployment.id)) break
        const cell = await seatOf(deployment.id).cell
        try {
          return await isolates.ask(cell, deployment, request)
        } catch (failure) {
          await judge(failure, cell, deployment, request)
        }
      }
      return quarantine.run(deployment, (cell) => isolates.ask(cell, deployment, request))
    },
  }
}

async function warmRecent(snapshot: Snapshot, recent: Recent, shared: SharedRun, limits: Limits): Promise<void> {
  const loads: Promise<void>[] = []
  const most = limits.cells * limits.cellPrograms
  // The latest one last: it is the last to be evicted again.
  for (const name of recent.names().slice(0, most).reverse()) {
    const program = snapshot.programs.get(name)
    if (program === undefined) continue
    for (const { deployment } of program.rollout)
      if (deployment.code !== undefined && placeProgram(program, deployment, limits).kind === 'shared')
        loads.push(shared.load(deployment))
  }
  await Promise.allSettled(loads)
}

/** `current` is the Snapshot that holds when isolates are let go, some time from now. */
async function retain(
  pool: CellPool,
  isolates: Isolates,
  current: () => Snapshot,
  known: Map<DeploymentId, Deployment>,
  limits: Limits,
): Promise<void> {
  const serves = (id: DeploymentId): boolean => {
    const program = current().programs.get(known.get(id)?.program ?? '')
    return program?.rollout.some(({ deployment }) => deployment.id === id) ?? false
  }
  for (const seat of pool.seats) await isolates.retain(await seat.cell, serves)
  // Requests that were on their way when the Snapshot changed still ask for what it was before.
  let former = known.size - current().programs.size - limits.formerDeployments
  for (const id of known.keys()) {
    if (former-- <= 0) return
    if (!serves(id)) known.delete(id)
  }
}
