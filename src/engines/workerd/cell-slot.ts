/** The place of one program (or one version) among the own cells: at most one process, started when it is needed. */
import { rmSync } from 'node:fs'
import { EdgeError } from '#/core/errors.ts'
import type { ProgramAnswer, ProgramRequest } from '#/core/ports.ts'
import type { EventOutcome, ProgramEvent } from '#/core/program-events.ts'
import type { Deployment, DeploymentId, Program, ProgramName } from '#/core/snapshot.ts'
import type { EpochMs } from '#/core/units.ts'
import { nextAlarm } from './object-alarms.ts'
import { type OwnCell, startOwnCell } from './own-cell.ts'
import type { CellRole, OwnCellsOptions } from './own-cells.ts'

/** What runs in a slot. */
export interface SlotPart {
  readonly key: string
  readonly program: Program
  /** The leading one first. */
  readonly deployments: readonly Deployment[]
  readonly tails: boolean
  /** One of many nodes; `epoch` of the lease under which its objects run, `undefined`: they do not. */
  readonly pops?: { readonly epoch: number | undefined }
  readonly role?: CellRole
}

export interface SlotOptions extends OwnCellsOptions {
  readonly nextFolder: () => string
  /** Makes room for one more process; rejects with `overloaded`. */
  readonly makeRoom: () => Promise<void>
}

export interface CellSlot {
  readonly program: ProgramName
  readonly lead: Deployment
  readonly running: boolean
  readonly pid: number | undefined
  /** Requests, WebSockets, a start or a change of version are under way. */
  readonly busy: boolean
  /** Has stored objects, so alarms may wake it. */
  readonly owned: boolean
  readonly usedAt: EpochMs
  readonly role: CellRole | undefined
  /** When a cell here was last ended for its CPU time. */
  readonly stuckAt: EpochMs | undefined
  serves(deployment: DeploymentId): boolean
  owns(key: string): boolean
  run(deployment: Deployment, request: ProgramRequest): Promise<ProgramAnswer>
  deliver(deployment: Deployment, event: ProgramEvent): Promise<EventOutcome>
  /** The running cell; `cold` when this call had to wait for its start. */
  ensure(): Promise<{ readonly cell: OwnCell; readonly cold: boolean }>
  /** Holds new requests, ends the old process, starts the new one. Rejects when that fails; the old version then serves again. */
  become(part: SlotPart): Promise<void>
  /** Ends at once what ran under a lease that is over; the next cell runs objects under the one that stands, if one does. */
  stand(): Promise<void>
  /** What the running cell says may leave: its lease stands, or it runs no objects. */
  readonly mayLeave: boolean
  /** Starts the cell when the first stored alarm is due, unless it runs. */
  awaitAlarm(): void
  /** Stops the cell when it was idle for long enough. */
  sweep(now: EpochMs): Promise<void>
  /** Ends the process; the next request starts another one. */
  stop(): Promise<void>
  /** Ends it for good. */
  close(): Promise<void>
}

/** Deployments with code that serve, the largest share first; of equal ones the newest. */
export function rolloutOf(program: Program): readonly Deployment[] {
  return program.rollout
    .filter(({ deployment, percent }) => deployment.code !== undefined && percent > 0)
    .toSorted((a, b) => b.percent - a.percent || b.deployment.number - a.deployment.number)
    .map(({ deployment }) => deployment)
}

/** setTimeout counts in 31 bits; a longer wait is looked at again once a day. */
const longestWaitMs = 86_400_000

export function createCellSlot(first: SlotPart, options: SlotOptions): CellSlot {
  const { limits, clock } = options
  let part = first
  let starting: Promise<OwnCell> | undefined
  let cell: OwnCell | undefined
  let gate: Promise<void> | undefined
  let held = 0
  let usedAt = clock()
  let traced = false
  let cpuBefore = 0
  let stuckAt: EpochMs | undefined
  let alarm: NodeJS.Timeout | undefined
  let closed = false

  async function start(): Promise<OwnCell> {
    clearTimeout(alarm)
    await options.makeRoom()
    if (part.pops !== undefined) part = { ...part, pops: { epoch: epochFor(part) } }
    const { program, deployments, tails, pops, role } = part
    const { blobs, backplane, open, objectsOf, objectsFolder, door, serverOf } = options
    const storage = { folder: objectsFolder }
    const many = pops === undefined ? {} : { pops: { runsObjects: pops.epoch !== undefined } }
    const ways = { backplane, ...(door && { door }), ...(serverOf && { serverOf }) }
    const plan = {
      program,
      deployments,
      open,
      objectsOf,
      ...ways,
      storage,
      tails,
      ...many,
      ...(role?.outbound && { outbound: true }),
    }
    const folder = options.nextFolder()
    const passes = passesOf(pops)
    const started = await startOwnCell({
      plan,
      folder,
      blobs,
      limits,
      onStuck,
      ...(role?.cpuMs && { stuckMs: role.cpuMs }),
      ...(passes && { passes }),
      objectAway: () => options.awayOf?.(program.name),
    }).catch((error: unknown) => {
      rmSync(folder, { recursive: true, force: true })
      throw error
    })
    traced = false
    cpuBefore = 0
    usedAt = clock()
    cell = started
    void started.exited.then(() => {
      rmSync(folder, { recursive: true, force: true })
      ended(started)
    })
    return started
  }

  function onStuck(): void {
    stuckAt = clock()
  }

  /** Asks the clock of the lease; absent where nothing has to be held back. */
  function passesOf(pops: SlotPart['pops']): (() => boolean) | undefined {
    const { standing } = options
    const epoch = pops?.epoch
    return epoch === undefined || standing === undefined ? undefined : () => standing.epoch() === epoch
  }

  function ended(which: OwnCell): void {
    if (cell === which) cell = undefined
    if (cell === undefined && gate === undefined) awaitAlarm()
  }

  function startOnce(): Promise<OwnCell> {
    starting ??= start().finally(() => {
      starting = undefined
    })
    return starting
  }

  async function hold<T>(until: Promise<T>): Promise<T> {
    if (held >= limits.heldRequests)
      throw new EdgeError('overloaded', `More than ${limits.heldRequests} requests wait for ${part.program.name}.`)
    held++
    try {
      return await until
    } finally {
      held--
    }
  }

  async function ensure(): Promise<{ cell: OwnCell; cold: boolean }> {
    usedAt = clock()
    while (gate !== undefined || cell?.ending === true) await hold<unknown>(gate ?? cell!.exited)
    if (cell !== undefined) return { cell, cold: false }
    return { cell: await hold(startOnce()), cold: true }
  }

  /** Ends the process and returns when it is gone: its storage may be opened by the next one. */
  async function end(drainMs: number): Promise<void> {
    await starting?.catch(() => {})
    await cell?.retire(drainMs)
  }

  /** While `work` runs, new requests wait. */
  async function gated(work: () => Promise<void>): Promise<void> {
    while (gate !== undefined) await gate
    const done = work()
    gate = done.catch(() => {})
    try {
      await done
    } finally {
      gate = undefined
    }
  }

  async function move(next: SlotPart): Promise<void> {
    const before = part
    const wasRunning = cell !== undefined || starting !== undefined
    if (wasRunning) await end(limits.ownCellDrainMs)
    // What was asked for may have waited for another change; the lease is the one that stands now.
    part = next.pops === undefined ? next : { ...next, pops: { epoch: epochFor(next) } }
    if (!wasRunning) return
    try {
      await startOnce()
    } catch (error) {
      part = before
      throw error
    }
  }

  function epochFor({ program }: SlotPart): number | undefined {
    return program.objects.length > 0 ? options.standing?.epoch() : undefined
  }

  const keys = () => part.program.objects.map(({ key }) => key)

  function awaitAlarm(): void {
    clearTimeout(alarm)
    if (closed || cell !== undefined || starting !== undefined || part.program.objects.length === 0) return
    if (part.pops !== undefined && part.pops.epoch === undefined) return
    const due = nextAlarm(options.objectsFolder, keys())
    if (due === undefined) return
    const wait = Math.min(Math.max(due - clock(), 0), longestWaitMs)
    alarm = setTimeout(() => {
      if (clock() < due) return awaitAlarm()
      // A program that does not start now is tried again a little later: the alarm is still on disk.
      ensure().catch(() => {
        alarm = setTimeout(awaitAlarm, 1000).unref()
      })
    }, wait)
    alarm.unref()
  }

  async function tellTraces(running: OwnCell): Promise<void> {
    const wanted = part.tails && options.traces.wanted(part.program.name)
    if (wanted === traced) return
    traced = wanted
    await running.trace(wanted)
  }

  /** The cell, in the same turn in which it is found open: a change of version in between would end it under us. */
  async function claim(): Promise<{ running: OwnCell; cold: boolean }> {
    let waited = false
    for (;;) {
      const { cell: running, cold } = await ensure()
      waited ||= cold
      if (part.tails && !running.ending) await tellTraces(running).catch(() => {})
      if (gate === undefined && cell === running && !running.ending) return { running, cold: waited }
    }
  }

  /** What chose its version before the rollout changed goes to the leading one. */
  function idFor(running: OwnCell, { id }: Deployment): DeploymentId {
    return running.runs(id) ? id : part.deployments[0]!.id
  }

  /** Work that nobody waits for: waitUntil, timers, alarms, calls from other cells. */
  function worksAlone(running: OwnCell): boolean {
    const cpu = running.cpu()
    const worked = cpu - cpuBefore >= 20
    cpuBefore = cpu
    return worked
  }

  return {
    get program() {
      return part.program.name
    },
    get lead() {
      return part.deployments[0]!
    },
    get running() {
      return cell !== undefined || starting !== undefined
    },
    get pid() {
      return cell?.pid
    },
    get busy() {
      if (starting !== undefined || gate !== undefined || held > 0) return true
      return cell !== undefined && (cell.inFlight > 0 || cell.webSockets > 0)
    },
    get owned() {
      return part.program.objects.length > 0
    },
    get usedAt() {
      return usedAt
    },
    get role() {
      return part.role
    },
    get stuckAt() {
      return stuckAt
    },
    serves: (deployment) => part.deployments.some(({ id }) => id === deployment),
    owns: (key) => keys().includes(key),
    ensure,
    async run(deployment, request) {
      const { running, cold } = await claim()
      const answer = await running.request(idFor(running, deployment), request)
      usedAt = clock()
      return { ...answer, start: cold ? 'cold' : 'warm' }
    },
    async deliver(deployment, event) {
      const { running } = await claim()
      try {
        return await running.deliver(idFor(running, deployment), event)
      } finally {
        usedAt = clock()
      }
    },
    async become(next) {
      if (samePart(part, next)) {
        part = next
        return
      }
      await gated(() => move(next))
    },
    async stand() {
      if (passesOf(part.pops)?.() === false) cell?.kill()
      await gated(async () => {
        if (part.pops !== undefined && part.pops.epoch !== options.standing?.epoch()) await move(part)
      })
    },
    get mayLeave() {
      return passesOf(part.pops)?.() ?? true
    },
    awaitAlarm,
    async sweep(now) {
      const running = cell
      if (running === undefined || gate !== undefined) return
      if (part.tails) await tellTraces(running).catch(() => {})
      if (worksAlone(running) || running.inFlight > 0 || running.webSockets > 0) usedAt = now
      if (now - usedAt < limits.ownCellIdleMs) return
      const due = nextAlarm(options.objectsFolder, keys())
      if (due !== undefined && due - now < limits.ownCellIdleMs) return
      if (running.callers > 0) return
      await this.stop()
    },
    async stop() {
      await gated(() => end(0))
      awaitAlarm()
    },
    async close() {
      closed = true
      clearTimeout(alarm)
      await gated(() => end(limits.ownCellDrainMs))
    },
  }
}

/** Shares may change without a new process, as long as the same version leads. */
function samePart(a: SlotPart, b: SlotPart): boolean {
  const facts = ({ deployments, program, tails, pops }: SlotPart) =>
    JSON.stringify([deployments[0]?.id, deployments.map(({ id }) => id).toSorted(), program.objects, tails, pops])
  return facts(a) === facts(b)
}
