/** What a program says of a step, read strictly and in the vendor's words (workers-sdk: packages/workflows-shared). */

export type Delay = number | ((wish: { readonly ctx: unknown; readonly error: Error }) => unknown)

/** Durations in milliseconds. */
export interface StepPlan {
  readonly limit: number
  readonly delay: Delay
  readonly backoff: 'constant' | 'linear' | 'exponential'
  readonly timeoutMs: number
  /** As the program's callback and people see it; a function as `delay` is left out. */
  readonly shown: object
}

/** Ends the instance, or the step without another attempt. */
export class WorkflowFatalError extends Error {
  override name = 'WorkflowFatalError'
}

const unitMs: Record<string, number> = {
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  week: 604_800_000,
  month: 2_629_800_000,
  year: 31_557_600_000,
}

/** Milliseconds of `"3 days"` or of a number; NaN for anything else. */
export function durationMs(value: unknown): number {
  if (typeof value === 'number') return value
  const found = typeof value === 'string' ? /^\s*(\d+(?:\.\d+)?)\s*(?:([a-z]+?)s?)?\s*$/i.exec(value) : null
  if (found === null) return Number.NaN
  const [, amount, unit] = found
  return Number(amount) * (unit === undefined ? 1 : (unitMs[unit.toLowerCase()] ?? Number.NaN))
}

const isDuration = (value: unknown) => durationMs(value) >= 0
const only = (value: unknown, names: readonly string[]): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.keys(value).every((name) => names.includes(name))

/** Throws a `WorkflowFatalError`. */
export function checkName(name: unknown): string {
  if (typeof name === 'string' && name.length <= 256 && !/[\x00-\x1f]/.test(name)) return name
  throw new WorkflowFatalError(`Step name "${name}" exceeds max length (256 chars) or invalid characters found`)
}

/** Throws a `WorkflowFatalError`. */
export function planStep(name: string, config: unknown = {}): StepPlan {
  const bad = new WorkflowFatalError(
    `Step config for "${name}" is in a invalid format. See https://developers.cloudflare.com/workflows/build/sleeping-and-retrying/`,
  )
  if (!only(config, ['retries', 'timeout', 'sensitive'])) throw bad
  const { retries = {}, timeout = '10 minutes', sensitive } = config
  if (!only(retries, ['limit', 'delay', 'backoff'])) throw bad
  if (config.retries !== undefined && (retries.limit === undefined || retries.delay === undefined)) throw bad
  // Without any, as the vendor has it: five, the first after a second.
  const { limit = 5, delay = 1000, backoff = config.retries === undefined ? 'exponential' : 'constant' } = retries
  const isBackoff = backoff === 'constant' || backoff === 'linear' || backoff === 'exponential'
  if (typeof limit !== 'number' || !(limit >= 0) || !isBackoff || !(durationMs(timeout) > 0)) throw bad
  if (typeof delay !== 'function' && !isDuration(delay)) throw bad
  if (sensitive !== undefined && sensitive !== 'output') throw bad
  const shownRetries = { limit, ...(typeof delay !== 'function' && { delay }), backoff }
  return {
    limit,
    delay: typeof delay === 'function' ? (delay as Delay) : durationMs(delay),
    backoff,
    timeoutMs: durationMs(timeout),
    shown: { retries: shownRetries, timeout, ...(sensitive !== undefined && { sensitive }) },
  }
}

/** Before the attempt after `attempt`, which is 1 at first. */
export function backoffMs(backoff: StepPlan['backoff'], delayMs: number, attempt: number): number {
  if (backoff === 'exponential') return delayMs * 2 ** (attempt - 1)
  return backoff === 'linear' ? delayMs * attempt : delayMs
}

/** An error that came over RPC has its name in front of its message. */
export function isNonRetryable({ name, message }: Error): boolean {
  return name === 'NonRetryableError' || message.startsWith('NonRetryableError')
}

/** A thrown value as it is kept. */
export function toldError(thrown: unknown): { name: string; message: string } {
  if (!(thrown instanceof Error)) return { name: 'Error', message: String(thrown) }
  if (!isNonRetryable(thrown)) return { name: thrown.name, message: thrown.message }
  return { name: 'NonRetryableError', message: thrown.message.replace(/^NonRetryableError(: |$)/, '') }
}
