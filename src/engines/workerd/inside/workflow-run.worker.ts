/**
 * Runs an instance of a workflow once: calls `run(event, step)` of the program's class and asks the instance's home before
 * and after each step. What the home holds already is not run again, so an instance goes on where it was however often its
 * run is cut off. A run in which nothing happens for a while but sleep and waiting is given up; the home starts the next.
 */
import { RpcTarget } from 'cloudflare:workers'
import {
  backoffMs,
  checkName,
  durationMs,
  isNonRetryable,
  planStep,
  type StepPlan,
  toldError,
  WorkflowFatalError,
} from './workflow-steps.worker.ts'
import { decodeValue, encodeValue, toError } from './workflow-values.worker.ts'

/** As `core/program-events.ts` has it. */
export interface WorkflowRunEvent {
  readonly kind: 'workflow'
  readonly workflow: string
  readonly program: string
  readonly className: string
  readonly instance: string
  readonly run: number
}

/** Asks the home: the path is `/WORKFLOW/OPERATION`. */
export type AskHome = (path: string, body: string) => Promise<Response>

interface Entrypoint {
  run(event: object, step: RpcTarget): Promise<unknown>
}

type ToldError = { readonly name: string; readonly message: string }

/** `hold`: the instance is to pause, nothing new begins. */
type Told =
  | { readonly state: 'stop' | 'hold' | 'changed' | 'ok' }
  | { readonly state: 'done'; readonly value: string; readonly at: number }
  | { readonly state: 'failed' | 'fatal'; readonly error: ToldError }
  | { readonly state: 'later'; readonly inMs: number }
  | { readonly state: 'run'; readonly attempt: number }

interface Started {
  readonly state: 'start'
  readonly payload: string
  readonly timestamp: number
  readonly workflowName: string
  readonly schedule?: { readonly cron: string; readonly scheduledTime: number }
  readonly idleMs: number
  readonly valueBytes: number
}

const never = new Promise<never>(() => {})

/** One run: who works, who waits, and whether it goes on. */
class Run {
  readonly counts = new Map<string, number>()
  /** Why nobody goes on. */
  readonly given = Promise.withResolvers<'suspend' | 'stop'>()
  readonly stopped = Promise.withResolvers<void>()
  readonly #event: WorkflowRunEvent
  readonly #askHome: AskHome
  readonly #parked = new Set<{ readonly until: number }>()
  readonly #listeners = new Set<() => void>()
  #working = 0
  #moves = 0
  #isPausing = false
  started!: Started

  constructor(event: WorkflowRunEvent, askHome: AskHome) {
    this.#event = event
    this.#askHome = askHome
  }

  /** Never resolves when the run is over: nobody is to go on. */
  async ask<Answer = Told>(operation: string, rest: object = {}): Promise<Answer> {
    const { workflow, instance, run } = this.#event
    const body = JSON.stringify({ instance, run, ...rest })
    const answer = await this.#askHome(`/${workflow}/${operation}`, body).catch(() => undefined)
    const told = answer?.ok === true ? ((await answer.json()) as Told) : undefined
    if (told !== undefined && told.state !== 'stop') return told as Answer
    this.given.resolve('stop')
    this.stopped.resolve()
    return never
  }

  count(kind: string, name: string): number {
    const key = `${kind} ${name}`
    const count = (this.counts.get(key) ?? 0) + 1
    this.counts.set(key, count)
    return count
  }

  async work<Value>(work: () => Promise<Value>): Promise<Value> {
    this.#working++
    this.#moves++
    try {
      return await work()
    } finally {
      this.#working--
      this.#weigh()
    }
  }

  /** Until then, or until something changed at home. */
  async park(inMs: number): Promise<void> {
    const entry = { until: Date.now() + inMs }
    const changed = Promise.withResolvers<void>()
    this.#parked.add(entry)
    this.#listeners.add(changed.resolve)
    this.#weigh()
    const left = new AbortController()
    const time = inMs === Number.POSITIVE_INFINITY ? never : waitFor(inMs, left.signal)
    await Promise.race([time, changed.promise])
    left.abort()
    this.#listeners.delete(changed.resolve)
    this.#parked.delete(entry)
    this.#moves++
  }

  async watch(): Promise<never> {
    for (;;) {
      const { state } = await this.ask('watch')
      this.#isPausing = state === 'hold'
      if (state === 'changed') for (const listener of [...this.#listeners]) listener()
      this.#weigh()
    }
  }

  /** Gives the run up where only time passes, or where it is to pause. */
  #weigh(): void {
    if (this.#working > 0) return
    if (this.#isPausing) this.given.resolve('suspend')
    if (this.#parked.size === 0 || this.#isPausing) return
    const { idleMs } = this.started
    const next = Math.min(...[...this.#parked].map(({ until }) => until)) - Date.now()
    if (next <= idleMs) return
    const moves = ++this.#moves
    void waitFor(idleMs).then(() => {
      if (this.#moves === moves && this.#working === 0) this.given.resolve('suspend')
    })
  }
}

/** The longest that a timer takes is 2^31 ms. */
function waitFor(ms: number, signal?: AbortSignal): Promise<void> {
  return scheduler
    .wait(Math.min(Math.max(ms, 0), 2 ** 31 - 1), signal === undefined ? {} : { signal })
    .catch(() => never)
}

type Callback = (context: object) => Promise<unknown>

/** What the program has as `step`. */
class Step extends RpcTarget {
  readonly #run: Run

  constructor(run: Run) {
    super()
    this.#run = run
  }

  async do(given: unknown, ...rest: unknown[]): Promise<unknown> {
    const name = checkName(given)
    const [config, callback, more] = typeof rest[0] === 'function' ? [undefined, ...rest] : rest
    if (typeof callback !== 'function') throw new WorkflowFatalError(`Step "${name}" requires a callback function`)
    if (more !== undefined) throw new WorkflowFatalError(`Step "${name}" has rollback options, which are not supported`)
    const plan = planStep(name, config ?? {})
    const count = this.#run.count('do', name)
    for (;;) {
      const told = await this.#run.work(() => this.#attempt(name, count, plan, callback as Callback))
      if ('value' in told) return told.value
      if ('thrown' in told) throw told.thrown
      await this.#run.park(told.inMs)
    }
  }

  async #attempt(name: string, count: number, plan: StepPlan, callback: Callback) {
    const run = this.#run
    const begun = await run.ask('begin', { name, count, config: plan.shown })
    if (begun.state !== 'run') return settled(begun)
    const { attempt } = begun
    const context = { step: { name, count }, attempt, config: plan.shown }
    try {
      const value = await inTime(callback(context), plan.timeoutMs)
      const kept = keep(value, name, count, run.started.valueBytes)
      const told = await run.ask('finish', { name, count, attempt, value: kept })
      return told.state === 'ok' ? { value } : settled(told)
    } catch (thrown) {
      const error = toldError(thrown)
      const retryInMs = await retryDelay(plan, context, thrown, `${name}-${count}`)
      const final = typeof retryInMs === 'object' ? retryInMs : error
      const wish = typeof retryInMs === 'number' ? { retryInMs } : {}
      return settled(await run.ask('fail', { name, count, attempt, error: final, ...wish }))
    }
  }

  async sleep(name: unknown, duration: unknown): Promise<void> {
    const forMs = durationMs(duration)
    if (!(forMs >= 0)) throw new WorkflowFatalError(`Duration of the sleep "${String(name)}" is invalid`)
    await this.#wait('sleep', checkName(name), { forMs })
  }

  async sleepUntil(name: unknown, timestamp: unknown): Promise<void> {
    const until = Number(timestamp)
    if (!Number.isFinite(until)) throw new WorkflowFatalError(`Time of the sleep "${String(name)}" is invalid`)
    await this.#wait('sleep', checkName(name), { until })
  }

  async waitForEvent(name: unknown, options: { readonly type?: unknown; readonly timeout?: unknown } = {}) {
    const { type, timeout = '24 hours' } = options
    if (typeof type !== 'string' || !/^\w[\w-]{0,99}$/.test(type))
      throw new WorkflowFatalError(`Event type "${String(type)}" is invalid`)
    const forMs = durationMs(timeout)
    if (!(forMs > 0)) throw new WorkflowFatalError(`Timeout of the event "${type}" is invalid`)
    const { value, at } = await this.#wait('wait', checkName(name), { type, forMs })
    return { payload: decodeValue(value), timestamp: new Date(at), type }
  }

  async #wait(kind: 'sleep' | 'wait', name: string, wish: object): Promise<{ value: string; at: number }> {
    const count = this.#run.count(kind, name)
    for (;;) {
      const told = await this.#run.work(() => this.#run.ask(kind, { name, count, ...wish }))
      if (told.state === 'done') return told
      const left = settled(told)
      if ('thrown' in left) throw left.thrown
      if ('inMs' in left) await this.#run.park(left.inMs)
    }
  }
}

function settled(told: Told): { value: unknown } | { thrown: Error } | { inMs: number } {
  if (told.state === 'done') return { value: decodeValue(told.value) }
  if (told.state === 'failed' || told.state === 'fatal') return { thrown: toError(told.error) }
  return { inMs: told.state === 'later' ? told.inMs : Number.POSITIVE_INFINITY }
}

function keep(value: unknown, name: string, count: number, limitBytes: number): string {
  let kept: string
  try {
    kept = encodeValue(value)
  } catch {
    throw new WorkflowFatalError(`Value returned from step "${name}" is not serialisable`)
  }
  if (kept.length <= limitBytes) return kept
  throw toError({
    name: 'WorkflowInternalError',
    message: `Step ${name}-${count} output is too large. Maximum allowed size is 1MiB.`,
  })
}

async function inTime(work: Promise<unknown>, timeoutMs: number): Promise<unknown> {
  const done = new AbortController()
  const late = waitFor(timeoutMs, done.signal).then(() => {
    throw toError({ name: 'WorkflowTimeoutError', message: `Execution timed out after ${timeoutMs}ms` })
  })
  try {
    return await Promise.race([work, late])
  } finally {
    done.abort()
  }
}

/** `undefined`: there is no other attempt. An error stands for that of the step, when the program's own delay is none. */
async function retryDelay(
  { limit, delay, backoff }: StepPlan,
  context: { readonly attempt: number },
  thrown: unknown,
  step: string,
): Promise<number | ToldError | undefined> {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  if (isNonRetryable(error) || error instanceof WorkflowFatalError || context.attempt > limit) return undefined
  if (typeof delay === 'number') return backoffMs(backoff, delay, context.attempt)
  const base = await Promise.resolve(delay({ ctx: context, error })).then(durationMs, () => Number.NaN)
  if (base >= 0 && Number.isFinite(base)) return backoffMs(backoff, base, context.attempt)
  const why = 'returned an invalid delay value (expected a number of ms or a duration string like "30 seconds")'
  return { name: 'NonRetryableDelayError', message: `The delay function for step "${step}" ${why}` }
}

/** What stands for the outcome of a run in the words of the runtime; the home has heard the rest by then. */
export async function runWorkflow(
  event: WorkflowRunEvent,
  entrypoint: unknown,
  askHome: AskHome,
): Promise<{ outcome: string }> {
  const run = new Run(event, askHome)
  const started = await Promise.race([run.ask<Started>('start'), run.given.promise])
  if (typeof started === 'string') return { outcome: 'canceled' }
  run.started = started
  void run.watch()
  const given = {
    payload: decodeValue(started.payload),
    timestamp: new Date(started.timestamp),
    instanceId: event.instance,
    workflowName: started.workflowName,
    ...(started.schedule && { schedule: started.schedule }),
  }
  const ended = (entrypoint as Entrypoint).run(given, new Step(run)).then(finalValue, (thrown: unknown) => ({
    error: toldError(thrown),
  }))
  const end = await Promise.race([ended, run.given.promise])
  const last = end === 'stop' ? undefined : end === 'suspend' ? run.ask('suspend') : run.ask('end', end)
  // Whoever is told to stop meanwhile has stopped.
  await (last && Promise.race([last, run.stopped.promise]))
  return { outcome: 'ok' }
}

function finalValue(value: unknown): { value: string } | { error: ToldError } {
  try {
    return { value: encodeValue(value) }
  } catch {
    return {
      error: { name: 'WorkflowFatalError', message: 'The value that the workflow returned is not serialisable' },
    }
  }
}
