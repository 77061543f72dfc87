/** Schedules of workflows: what an instance is told of the one that made it, and how its home is asked for one. */
import type { HomedStores } from './homed-stores.ts'
import type { Resource } from './resources.ts'
import type { EpochMs } from './units.ts'
import { encodeJson } from './workflow-values.ts'

/** `schedule` of the event, in the vendor's words. */
export interface WorkflowSchedule {
  readonly cron: string
  readonly scheduledTime: EpochMs
}

export const cronsOf = ({ settings }: Pick<Resource, 'settings'>): readonly string[] =>
  (settings.crons as readonly string[] | undefined) ?? []

/** Makes the instance of this schedule and minute, once however often it is asked. Rejects like `HomedStores.call`. */
export async function startScheduled(
  homed: Pick<HomedStores, 'call'>,
  workflow: string,
  schedule: WorkflowSchedule,
  /** Which of the workflow's schedules it is. */
  index: number,
): Promise<void> {
  const instance = { id: `cron-${schedule.scheduledTime / 1000}-${index}`, params: encodeJson({}), schedule }
  const body = Buffer.from(JSON.stringify({ instances: [instance] }))
  const asked = { kind: 'workflow', id: workflow, operation: 'create-batch', head: { source: 'cron' }, body } as const
  const answer = await homed.call(asked)
  if (answer.body !== null && !(answer.body instanceof Uint8Array)) answer.body.resume()
}
