/**
 * Calls programs, and makes instances of workflows, when their schedules are due: once in the platform, whatever nodes there are. The elected node claims each
 * minute in the fabric before it tells anybody, so a minute is never told twice; one that nobody claimed in time is missed,
 * and not made up for, as at Cloudflare.
 */
import { isDue, parseCron } from '#/core/cron.ts'
import type { Limits } from '#/core/limits.ts'
import type { Bucket, Fabric } from '#/core/ports.ts'
import type { EventOutcome, ScheduledEvent } from '#/core/program-events.ts'
import type { ProgramName, Snapshot } from '#/core/snapshot.ts'
import type { Clock, EpochMs, Milliseconds } from '#/core/units.ts'
import { cronsOf, type WorkflowSchedule } from '#/core/workflow-schedules.ts'
import { type Run, type RunOnceParts, runOnce } from './run-once.ts'

export interface SchedulesParts {
  readonly fabric: Pick<Fabric, 'lease' | 'bucket'>
  readonly snapshot: () => Snapshot
  readonly deliver: (program: ProgramName, event: ScheduledEvent) => Promise<EventOutcome>
  /** Makes the instance of a workflow, named by its resource; `index` is that of the schedule. */
  readonly startWorkflow: (workflow: string, schedule: WorkflowSchedule, index: number) => Promise<void>
  readonly clock: Clock
  readonly monotonic: RunOnceParts['monotonic']
  readonly wait: RunOnceParts['wait']
  readonly limits: Pick<Limits, 'runOnceLeaseMs' | 'scheduleLateMs' | 'schedulesAtOnce'>
  readonly log: (message: string, facts: object) => void
}

const minuteMs: Milliseconds = 60_000
const claimKey = 'minute'

/** Returns how to stop: resolves once nothing is told any more; what was told goes on at its node. */
export function runSchedules(parts: SchedulesParts): () => Promise<void> {
  const { clock, wait, limits } = parts
  const claims = parts.fabric.bucket('schedules')
  const log = (message: string, error: unknown) => parts.log(message, { err: error })
  let underWay = 0

  function tell(due: Due, scheduledTime: EpochMs): void {
    const { cron } = due
    const facts = due.kind === 'program' ? { program: due.program, cron } : { workflow: due.workflow, cron }
    if (underWay >= limits.schedulesAtOnce) {
      parts.log('a schedule is missed: too many are under way', { ...facts, underWay })
      return
    }
    underWay++
    const begun = clock()
    const told: Promise<Partial<EventOutcome>> =
      due.kind === 'program'
        ? parts.deliver(due.program, { kind: 'scheduled', cron, scheduledTime })
        : parts.startWorkflow(due.workflow, { cron, scheduledTime }, due.index).then(() => ({ end: 'ok' as const }))
    told
      .then(
        ({ end, error }) => parts.log('a schedule was told', { ...facts, end, error, ms: clock() - begun }),
        (err: unknown) => parts.log('a schedule is missed', { ...facts, err }),
      )
      .finally(() => {
        underWay--
      })
  }

  async function look(minute: EpochMs, run: Run): Promise<void> {
    const due = dueAt(parts.snapshot(), minute)
    if (due.length === 0 || !run.isCurrent() || !(await claim(claims, minute))) return
    if (!run.isCurrent()) return parts.log('schedules are missed: the node lost its election', { count: due.length })
    for (const one of due) tell(one, minute)
  }

  return runOnce({ ...parts, log }, 'schedules', async (run) => {
    let looked: EpochMs = 0
    while (!run.signal.aborted) {
      const now = clock()
      const minute = now - (now % minuteMs)
      if (minute > looked && now - minute <= limits.scheduleLateMs) {
        looked = minute
        await look(minute, run).catch((error: unknown) => log('schedules are missed', error))
      }
      await wait(Math.max(minute + minuteMs - clock(), 1), run.signal)
    }
  })
}

type Due = { readonly cron: string } & (
  | { readonly kind: 'program'; readonly program: ProgramName }
  | { readonly kind: 'workflow'; readonly workflow: string; readonly index: number }
)

function dueAt({ programs, resources }: Snapshot, minute: EpochMs): Due[] {
  const due: Due[] = []
  for (const resource of resources?.values() ?? []) {
    if (resource.kind !== 'workflow') continue
    for (const [index, text] of cronsOf(resource).entries()) {
      const cron = parseCron(text)
      if (cron !== undefined && isDue(cron, minute))
        due.push({ kind: 'workflow', workflow: resource.id, index, cron: text })
    }
  }
  for (const { name, crons = [], rollout } of programs.values()) {
    if (rollout.length === 0) continue
    for (const text of crons) {
      const cron = parseCron(text)
      if (cron !== undefined && isDue(cron, minute)) due.push({ kind: 'program', program: name, cron: text })
    }
  }
  return due
}

/** False when this minute, or a later one, is somebody's already. */
async function claim(claims: Bucket, minute: EpochMs): Promise<boolean> {
  const known = await claims.get(claimKey)
  if (known !== undefined && Number(Buffer.from(known.value).toString()) >= minute) return false
  const written = await claims.put(claimKey, Buffer.from(String(minute)), { expect: known?.revision ?? 0 })
  return written !== undefined
}
