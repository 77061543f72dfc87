/**
 * Calls programs when their schedules are due: once in the platform, whatever nodes there are. The elected node claims each
 * minute in the fabric before it tells anybody, so a minute is never told twice; one that nobody claimed in time is missed,
 * and not made up for, as at Cloudflare.
 */
import { isDue, parseCron } from '#/core/cron.ts'
import type { Limits } from '#/core/limits.ts'
import type { Bucket, Fabric } from '#/core/ports.ts'
import type { EventOutcome, ScheduledEvent } from '#/core/program-events.ts'
import type { ProgramName, Snapshot } from '#/core/snapshot.ts'
import type { Clock, EpochMs, Milliseconds } from '#/core/units.ts'
import { type Run, type RunOnceParts, runOnce } from './run-once.ts'

export interface SchedulesParts {
  readonly fabric: Pick<Fabric, 'lease' | 'bucket'>
  readonly snapshot: () => Snapshot
  readonly deliver: (program: ProgramName, event: ScheduledEvent) => Promise<EventOutcome>
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

  function tell(program: ProgramName, cron: string, scheduledTime: EpochMs): void {
    if (underWay >= limits.schedulesAtOnce) {
      parts.log('a schedule is missed: too many are under way', { program, cron, underWay })
      return
    }
    underWay++
    const begun = clock()
    parts
      .deliver(program, { kind: 'scheduled', cron, scheduledTime })
      .then(
        ({ end, error }) => parts.log('a schedule was told', { program, cron, end, error, ms: clock() - begun }),
        (err: unknown) => parts.log('a schedule is missed', { program, cron, err }),
      )
      .finally(() => {
        underWay--
      })
  }

  async function look(minute: EpochMs, run: Run): Promise<void> {
    const due = dueAt(parts.snapshot(), minute)
    if (due.length === 0 || !run.isCurrent() || !(await claim(claims, minute))) return
    if (!run.isCurrent()) return parts.log('schedules are missed: the node lost its election', { count: due.length })
    for (const { program, cron } of due) tell(program, cron, minute)
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

function dueAt({ programs }: Snapshot, minute: EpochMs): { program: ProgramName; cron: string }[] {
  const due: { program: ProgramName; cron: string }[] = []
  for (const { name, crons = [], rollout } of programs.values()) {
    if (rollout.length === 0) continue
    for (const text of crons) {
      const cron = parseCron(text)
      if (cron !== undefined && isDue(cron, minute)) due.push({ program: name, cron: text })
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
