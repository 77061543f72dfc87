/**
 * The group: one cell whose configuration holds the programs of shared cells that are asked again and again. They run
 * there without a loader in between, at half the CPU a request. Who is not (or no longer) a member runs in its shared cell.
 */
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { ProgramAnswer, ProgramRequest } from '#/core/ports.ts'
import type { Deployment, DeploymentId } from '#/core/snapshot.ts'
import type { Clock } from '#/core/units.ts'
import { isRepeatable } from './cell-client.ts'
import { createHeat } from './heat.ts'
import type { OwnCell } from './own-cell.ts'
import { residentBytes } from './process-memory.ts'

export interface GroupOptions {
  /** Starts a cell with these programs; rejects like `startOwnCell`. */
  readonly start: (members: readonly Deployment[]) => Promise<OwnCell>
  /** The deployment, while programs of the Snapshot use it. */
  readonly serving: (id: DeploymentId) => Deployment | undefined
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (message: string, facts?: object) => void
}

export interface Group {
  /** Counts a request; true when `run` may take it. */
  takes(deployment: DeploymentId, request: ProgramRequest): boolean
  /** `undefined`: the group failed before the program began, the shared cell has to answer. Rejects like `Engine.run`. */
  run(deployment: Deployment, request: ProgramRequest): Promise<ProgramAnswer | undefined>
  close(): Promise<void>
}

interface Running {
  readonly cell: OwnCell
  readonly members: ReadonlySet<DeploymentId>
  /** Requests in flight by deployment: the suspects when it hangs. */
  readonly busy: Map<DeploymentId, number>
  readonly since: number
}

const lookMs = 1_000

/** What should be in the group: those that are there and still wanted first, so that a full group does not flutter. */
export function nextMembers(
  before: ReadonlySet<DeploymentId>,
  wanted: readonly DeploymentId[],
  most: number,
): readonly DeploymentId[] {
  const stay = wanted.filter((id) => before.has(id))
  const join = wanted.filter((id) => !before.has(id))
  return [...stay, ...join].slice(0, most)
}

/** Newcomers are worth a new process at once; that somebody may leave is worth one only after `groupKeptMs`. */
export function isDue(
  before: { readonly members: ReadonlySet<DeploymentId>; readonly ageMs: number },
  next: readonly DeploymentId[],
  limits: Pick<Limits, 'groupPauseMs' | 'groupKeptMs'>,
): boolean {
  if (next.some((id) => !before.members.has(id))) return before.ageMs >= limits.groupPauseMs
  return next.length < before.members.size && before.ageMs >= limits.groupKeptMs
}

export function createGroup(options: GroupOptions): Group {
  const { limits, clock, log } = options
  const heat = createHeat(
    {
      hotRate: limits.groupRate,
      hotSeconds: limits.groupSeconds,
      coolSeconds: limits.coolSeconds,
      programs: limits.programs,
    },
    () => {},
  )
  /** Until when they may not join: they were in flight in a group that hung, or threw. */
  const suspects = new Map<DeploymentId, number>()
  /** Earlier groups that finish what they began. */
  const former = new Set<OwnCell>()
  let current: Running | undefined
  let starting: Promise<void> | undefined
  let closed = false

  function suspect(id: DeploymentId): void {
    if (suspects.size >= limits.programs) suspects.clear()
    suspects.set(id, clock() + limits.suspectMs)
  }

  function wanted(): DeploymentId[] {
    const now = clock()
    for (const [id, until] of suspects) if (until <= now) suspects.delete(id)
    return heat.hot().filter((id) => !suspects.has(id) && options.serving(id) !== undefined)
  }

  function lost(running: Running, reason: string): void {
    former.delete(running.cell)
    if (current !== running) return
    current = undefined
    if (closed) return
    log('group lost', { reason, busy: running.busy.size })
    for (const id of running.busy.keys()) suspect(id)
  }

  /** The former one keeps what it has in flight, and `waitUntil` work behind answers, for `drainMs`. */
  function replace(next: Running | undefined): void {
    const before = current?.cell
    current = next
    if (before === undefined) return
    former.add(before)
    setTimeout(() => void before.retire(limits.drainMs), limits.drainMs).unref()
  }

  async function regroup(ids: readonly DeploymentId[]): Promise<void> {
    const members = ids.flatMap((id) => options.serving(id) ?? [])
    if (members.length === 0) return replace(undefined)
    try {
      const cell = await options.start(members)
      if (closed) return void cell.retire(0)
      const running: Running = { cell, members: new Set(ids), busy: new Map(), since: clock() }
      void cell.exited.then((reason) => lost(running, reason))
      replace(running)
    } catch (error) {
      // One of the newcomers is to blame; all of them go on in their shared cells.
      log('group not started', { error: String(error), programs: members.map(({ program }) => program) })
      for (const id of ids) if (current?.members.has(id) !== true) suspect(id)
    }
  }

  function look(): void {
    if (closed || starting !== undefined) return
    const bytes = current === undefined ? 0 : residentBytes(current.cell.pid)
    if (bytes > 2 * limits.groupBytes) {
      // Growing faster than it could be replaced in peace.
      log('group grew beyond its limit', { bytes })
      for (const id of current!.busy.keys()) suspect(id)
      void current!.cell.retire(0)
      return
    }
    const members = current?.members ?? new Set<DeploymentId>()
    const next = nextMembers(members, wanted(), limits.groupPrograms)
    const ageMs = current === undefined ? Number.POSITIVE_INFINITY : clock() - current.since
    if (former.size >= limits.formerGroups || !(bytes > limits.groupBytes || isDue({ members, ageMs }, next, limits)))
      return
    starting = regroup(next).finally(() => {
      starting = undefined
    })
  }
  const looking = setInterval(look, lookMs)
  looking.unref()

  return {
    takes(id, request) {
      heat.note(id)
      // A WebSocket outlives any group: it stays where nothing moves.
      return current?.members.has(id) === true && !request.wantsUpgrade && !suspects.has(id)
    },
    async run(deployment, request) {
      const running = current
      if (running === undefined) return undefined
      const { cell, busy } = running
      busy.set(deployment.id, (busy.get(deployment.id) ?? 0) + 1)
      try {
        const answer = await cell.request(deployment.id, request)
        return { ...answer, start: 'warm' }
      } catch (error) {
        return judge(error, deployment, request)
      } finally {
        const left = busy.get(deployment.id)! - 1
        if (left > 0) busy.set(deployment.id, left)
        else busy.delete(deployment.id)
      }
    },
    async close() {
      closed = true
      clearInterval(looking)
      heat.close()
      await starting
      await Promise.all([...former, ...(current === undefined ? [] : [current.cell])].map((cell) => cell.retire(0)))
    },
  }

  /** Rejects unless the shared cell may try again. */
  function judge(error: unknown, deployment: Deployment, request: ProgramRequest): undefined {
    if (!(error instanceof EdgeError)) throw error
    switch (error.code) {
      case 'program_exception':
        // Whose words stand on the process's stderr cannot be told; in its shared cell the next ones can.
        suspect(deployment.id)
        throw error
      case 'program_exceeded_limits':
      case 'program_hung_up':
        suspect(deployment.id)
        if (isRepeatable(request) && !request.signal.aborted) return undefined
        throw new EdgeError('program_hung_up', 'The program ended before it answered.', { cause: error })
      default:
        throw error
    }
  }
}
