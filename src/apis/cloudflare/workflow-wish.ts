/** What wrangler sets for a workflow: in `workflows`, or in an entry of `exports`. */
import { z } from 'zod'
import { parseCron } from '#/core/cron.ts'
import type { Limits } from '#/core/limits.ts'
import type { Within } from '#/core/pops.ts'
import { countryGroups } from '#/core/residency.ts'
import type { Milliseconds } from '#/core/units.ts'
import { VendorError } from './envelope.ts'

const retention = z.union([z.int().positive(), z.string().min(1)])

/** As the upload's metadata and the call for a workflow have them; values are read by `readWorkflowSettings`. */
export const workflowSettings = {
  limits: z.strictObject({ steps: z.int().min(1).optional() }).optional(),
  concurrency: z.strictObject({ limit: z.int().min(1).optional() }).optional(),
  schedules: z.union([z.string(), z.array(z.union([z.string(), z.strictObject({ cron: z.string() })]))]).optional(),
  default_retention: z
    .strictObject({ success_retention: retention.optional(), error_retention: retention.optional() })
    .optional(),
  jurisdiction: z.enum(['eu', 'fedramp', 'us']).optional(),
}

const wish = z.strictObject(workflowSettings)
export type WorkflowWish = z.infer<typeof wish>

/** What stands in the resource besides program and class; see `WorkflowSettings` in the store. */
export interface WorkflowSet {
  readonly steps?: number
  readonly atOnce?: number
  readonly crons?: readonly string[]
  readonly successMs?: Milliseconds
  readonly errorMs?: Milliseconds
  readonly jurisdiction?: string
}

const unitMs: Readonly<Record<string, Milliseconds>> = {
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  week: 604_800_000,
  month: 2_629_800_000,
  year: 31_557_600_000,
}

/** As steps' durations are read: `"3 days"`, or milliseconds. */
function readDuration(name: string, value: number | string | undefined, most: Milliseconds): Milliseconds | undefined {
  if (value === undefined) return undefined
  const found = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+?)s?\s*$/i.exec(String(value))
  const ms =
    typeof value === 'number' ? value : Number(found?.[1]) * (unitMs[found?.[2]?.toLowerCase() ?? ''] ?? Number.NaN)
  if (ms > 0 && ms <= most) return ms
  throw badWish(`${name} is "${String(value).slice(0, 40)}", not a duration of at most ${most / 86_400_000} days`)
}

const badWish = (why: string) => new VendorError(400, 10001, `workflows.api.error.invalid_body: ${why}.`)

/** Countries that a jurisdiction stands for. */
export const jurisdictionCountries = (jurisdiction: string): Within =>
  jurisdiction === 'us' ? ['US'] : countryGroups.get(jurisdiction)!

/** Throws a `VendorError` that says what does not fit. */
export function readWorkflowSettings(given: WorkflowWish, limits: Limits): WorkflowSet {
  const { limits: own, concurrency, schedules = [], default_retention: kept, jurisdiction } = given
  const steps = own?.steps
  if (steps !== undefined && steps > limits.workflowStepsMost)
    throw badWish(`limits.steps is ${steps}, more than ${limits.workflowStepsMost}`)
  const crons = (typeof schedules === 'string' ? [schedules] : schedules).map((one) =>
    typeof one === 'string' ? one : one.cron,
  )
  if (crons.length > limits.cronsPerProgram) throw badWish(`there are more than ${limits.cronsPerProgram} schedules`)
  const wrong = crons.find((cron) => parseCron(cron) === undefined)
  if (wrong !== undefined) throw new VendorError(400, 10100, `invalid cron string: '${wrong.slice(0, 100)}'`)
  const most = limits.workflowRetentionMs
  const successMs = readDuration('default_retention.success_retention', kept?.success_retention, most)
  const errorMs = readDuration('default_retention.error_retention', kept?.error_retention, most)
  return {
    ...(steps !== undefined && { steps }),
    ...(concurrency?.limit !== undefined && { atOnce: concurrency.limit }),
    ...(crons.length > 0 && { crons }),
    ...(successMs !== undefined && { successMs }),
    ...(errorMs !== undefined && { errorMs }),
    ...(jurisdiction !== undefined && { jurisdiction }),
  }
}
