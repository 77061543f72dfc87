/**
 * Programs that have a cell of their own: those with Durable Objects (one process owns their storage, all versions of the
 * rollout run in it) and those that are hot (one process a version).
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { changedPrograms } from '#/core/changed-sites.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Standing } from '#/core/object-homes.ts'
import type { ProgramAnswer, ProgramRequest } from '#/core/ports.ts'
import type { EventOutcome, ProgramEvent } from '#/core/program-events.ts'
import type { Deployment, ObjectNamespace, Program, ProgramName, Sealed, Snapshot } from '#/core/snapshot.ts'
import type { Traces } from '#/core/traces.ts'
import type { Clock } from '#/core/units.ts'
import { isRepeatable } from './cell-client.ts'
import { type CellPlan, serviceOf } from './cell-config.ts'
import type { BlobSource } from './cell-files.ts'
import { type CellSlot, createCellSlot, rolloutOf, type SlotPart } from './cell-slot.ts'

export interface OwnCellsOptions {
  /** For the cells' sockets: short, private, emptied by nobody else. */
  readonly folder: string
  /** Where objects lie for ever: a folder a namespace. */
  readonly objectsFolder: string
  /** Path of the backplane's unix socket. */
  readonly backplane: string
  readonly blobs: BlobSource
  readonly open: (sealed: Sealed) => string
  readonly objectsOf: (program: ProgramName) => readonly ObjectNamespace[] | undefined
  readonly door?: NonNullable<CellPlan['door']>
  readonly serverOf?: NonNullable<CellPlan['serverOf']>
  readonly traces: Pick<Traces, 'wanted'>
  /** Objects run only under this node's lease; absent: this node is the only one. */
  readonly standing?: Standing
  /** Was a program just told that a Durable Object is out of reach? */
  readonly awayOf?: (program: ProgramName) => EdgeError | undefined
  readonly limits: Limits
  readonly clock: Clock
}

/** Where another cell finds an entrypoint: parameters of `workerdDebugPort`. */
export interface Place {
  readonly address: string
  readonly service: string
}

/** What a cell is for, when it is not for all that a version does; only programs without objects have such. */
export interface CellRole {
  /** CPU time without an answer after which it is ended. */
  readonly cpuMs?: number
  /** Its program runs as the outbound Worker of a dispatch namespace. */
  readonly outbound?: true
}

export interface OwnCells {
  /** Rejects like `Engine.run`. */
  run(program: Program, deployment: Deployment, request: ProgramRequest): Promise<ProgramAnswer>
  /** Rejects like `Engine.deliver`, with `program_exceeded_limits`, or with a timeout. */
  deliver(program: Program, deployment: Deployment, event: ProgramEvent): Promise<EventOutcome>
  /** Starts the cell if it does not run. Never rejects. */
  warm(program: Program, deployment: Deployment): void
  /** Starts the program's cell if it has to and says where its leading version answers. */
  reach(program: Program, role?: CellRole): Promise<Place>
  /** Was this cell of the program ended for its CPU time just now? */
  endedForCpu(program: Program, role: CellRole): boolean
  /** Moves running programs to their versions in this Snapshot, and watches over the alarms of the others. */
  adopt(snapshot: Snapshot): Promise<void>
  /** Removes all data of these namespaces. Rejects with `internal` while a program of the last Snapshot has one. */
  forget(objects: readonly ObjectNamespace[]): Promise<void>
  /** May what this program says or asks for leave? Not from a cell whose lease ran out, until it has ended. */
  mayLeave(program: ProgramName): boolean
  /** Processes that run now. */
  pids(): readonly number[]
  close(): Promise<void>
}

export function createOwnCells(options: OwnCellsOptions): OwnCells {
  const { limits, clock } = options
  const slots = new Map<string, CellSlot>()
  let made = 0
  let closed = false

  function slotFor(program: Program, deployment: Deployment, role?: CellRole): CellSlot {
    if (closed) throw new EdgeError('overloaded', 'This node is shutting down.')
    const part = partOf(program, deployment, options, role)
    const known = slots.get(part.key)
    if (known !== undefined) return known
    const slot = createCellSlot(part, { ...options, nextFolder: () => join(options.folder, `o${++made}`), makeRoom })
    slots.set(part.key, slot)
    return slot
  }

  /** Called before a cell starts: the number of processes is bounded, the longest unused one goes. */
  async function makeRoom(): Promise<void> {
    const running = [...slots.values()].filter((slot) => slot.running)
    if (running.length < limits.ownCells) return
    const unused = running.filter((slot) => !slot.busy).sort((a, b) => a.usedAt - b.usedAt)
    if (unused[0] === undefined) throw new EdgeError('overloaded', `All ${limits.ownCells} processes are busy.`)
    await unused[0].stop()
  }

  const sweep = setInterval(
    () => {
      for (const [key, slot] of slots) {
        if (slot.running) void slot.sweep(clock())
        else if (!slot.owned && !slot.busy) slots.delete(key)
      }
    },
    Math.min(1000, limits.ownCellIdleMs / 2),
  )
  sweep.unref()

  let adopted: Snapshot['programs'] = new Map()
  /** The lease was won or lost: cells that own objects start anew, with them or without. */
  const stopListening = options.standing?.onChange(() => {
    for (const slot of slots.values()) {
      if (!slot.owned) continue
      slot
        .stand()
        .then(() => slot.awaitAlarm())
        .catch(() => {})
    }
  })

  return {
    async run(program, deployment, request) {
      const slot = slotFor(program, deployment)
      try {
        return await slot.run(deployment, request)
      } catch (error) {
        if (!mayRepeat(error, request)) throw error
        return slot.run(deployment, request)
      }
    },
    async deliver(program, deployment, event) {
      return slotFor(program, deployment).deliver(deployment, event)
    },
    warm(program, deployment) {
      if (closed) return
      slotFor(program, deployment)
        .ensure()
        .catch(() => {})
    },
    async reach(program, role) {
      const lead = rolloutOf(program)[0]
      if (lead === undefined)
        throw new EdgeError('not_found', `The program ${program.name} has no version that serves.`)
      const slot = slotFor(program, lead, role)
      const { cell } = await slot.ensure()
      return { address: cell.debugAddress, service: serviceOf(slot.lead) }
    },
    endedForCpu(program, role) {
      const lead = rolloutOf(program)[0]
      if (lead === undefined) return false
      const at = slots.get(partOf(program, lead, options, role).key)?.stuckAt
      return at !== undefined && clock() - at < limits.dispatchStuckMs
    },
    async adopt(snapshot) {
      const moves = [...slots].map(async ([key, slot]) => {
        const program = snapshot.programs.get(slot.program)
        const next = program === undefined ? undefined : successor(slot, program, options)
        if (next?.key === key) return slot.become(next)
        slots.delete(key)
        // Only made warm here; a start that fails is told to the request that needs it.
        if (next !== undefined && slot.running)
          await slotFor(program!, next.deployments[0]!, next.role)
            .ensure()
            .catch(() => {})
        await slot.close()
      })
      await Promise.all(moves)
      const { come } = changedPrograms(adopted, snapshot.programs)
      adopted = snapshot.programs
      for (const program of come) {
        const lead = rolloutOf(program)[0]
        if (program.objects.length > 0 && lead !== undefined) slotFor(program, lead).awaitAlarm()
      }
    },
    async forget(objects) {
      for (const { key, className } of objects) {
        if ([...slots.values()].some((slot) => slot.owns(key)))
          throw new EdgeError('internal', `Objects of class ${className} are still in use.`)
        await rm(join(options.objectsFolder, key), { recursive: true, force: true })
      }
    },
    mayLeave: (program) => slots.get(`objects ${program}`)?.mayLeave ?? true,
    pids: () => [...slots.values()].flatMap((slot) => slot.pid ?? []),
    async close() {
      closed = true
      stopListening?.()
      clearInterval(sweep)
      await Promise.all([...slots.values()].map((slot) => slot.close()))
    },
  }
}

/** A program with objects has one cell for its whole rollout; another one has a cell a version. */
function partOf(
  program: Program,
  deployment: Deployment,
  { traces, standing }: PartSources,
  role?: CellRole,
): SlotPart {
  const pops = standing === undefined ? {} : { pops: { epoch: standing.epoch() } }
  if (program.objects.length > 0)
    return { key: `objects ${program.name}`, program, deployments: rolloutOf(program), tails: true, ...pops }
  // A tail halves the speed of a hot program, so it runs in a cell with one only while somebody listens.
  const tails = traces.wanted(program.name)
  const stateless = standing === undefined ? {} : { pops: { epoch: undefined } }
  const words = [deployment.id, ...(tails ? ['traced'] : []), ...(role === undefined ? [] : [JSON.stringify(role)])]
  return { key: words.join(' '), program, deployments: [deployment], tails, ...stateless, ...(role && { role }) }
}

type PartSources = Pick<OwnCellsOptions, 'traces' | 'standing'>

/** What a slot becomes in a new Snapshot: itself, or the part that takes its place. */
function successor(slot: CellSlot, program: Program, sources: PartSources): SlotPart | undefined {
  const rollout = rolloutOf(program)
  const kept = rollout.find((deployment) => slot.serves(deployment.id)) ?? rollout[0]
  return kept === undefined ? undefined : partOf(program, kept, sources, slot.role)
}

/** A process that went away may be asked again by a request that changes nothing (RFC 9110 §9.2.1). */
function mayRepeat(error: unknown, request: ProgramRequest): boolean {
  return (
    error instanceof EdgeError && error.code === 'program_hung_up' && !request.signal.aborted && isRepeatable(request)
  )
}
