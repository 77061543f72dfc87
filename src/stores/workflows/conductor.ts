/**
 * Has instances run when they are due: asks for the program, tells a run that its instance changed, begins another one after
 * a run that was cut off. What is due stands in the database; nothing is lost with this process.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { EventOutcome, WorkflowRunEvent } from '#/core/program-events.ts'
import type { Clock, Milliseconds } from '#/core/units.ts'
import type { Instances } from './ask-instances.ts'
import type { Claimed } from './run-instances.ts'

/** What runs a workflow's instances. */
export interface WorkflowTarget {
  readonly program: string
  readonly className: string
  readonly atOnce?: number
}

export interface ConductorParts {
  readonly instances: Instances
  /** `undefined`: not known here (any more). */
  readonly target: (workflow: string) => WorkflowTarget | undefined
  readonly isDeployed: (program: string) => boolean
  /** Rejects, or ends otherwise than `ok`, where the run was cut off. */
  readonly deliver: (program: string, event: WorkflowRunEvent) => Promise<EventOutcome>
  readonly clock: Clock
  readonly limits: { readonly workflowRuns: number; readonly workflowSweepMs: Milliseconds }
  readonly log: (message: string, facts: object) => void
}

export interface Conductor {
  /** Something of the workflow may be due. */
  look(workflow: string): void
  /** Tells the run of an instance that something changed, where it runs. */
  tell(workflow: string, instance: string): void
  /** Resolves at the next change, or when the time is over; at once when there was one since the last. */
  changed(workflow: string, of: Claimed, signal: AbortSignal | undefined): Promise<void>
  /** Nothing of it is begun any more. */
  drop(workflow: string): void
  close(): void
}

interface ActiveRun {
  readonly run: number
  hasNews: boolean
  wake: (() => void) | undefined
}

interface Lane {
  readonly active: Map<string, ActiveRun>
  timer: NodeJS.Timeout | undefined
  isLooking: boolean
  looksAgain: boolean
  sweptAt: number
  isResting: boolean
}

/** After the database could not be asked. */
const retryMs = 1000
/** The longest that a timer takes. */
const longestMs = 2 ** 31 - 1
/** Removed at once; what is left comes at the next sweep. */
const sweptAtOnce = 1000

export function createConductor(parts: ConductorParts): Conductor {
  const { instances, target, isDeployed, deliver, clock, limits, log } = parts
  const lanes = new Map<string, Lane>()
  let isClosed = false

  function laneOf(workflow: string): Lane {
    const known = lanes.get(workflow)
    if (known !== undefined) return known
    const made = {
      active: new Map(),
      timer: undefined,
      isLooking: false,
      looksAgain: false,
      sweptAt: 0,
      isResting: false,
    }
    lanes.set(workflow, made)
    return made
  }

  async function run(workflow: string, lane: Lane, of: Claimed, { program, className }: WorkflowTarget): Promise<void> {
    const { instance, run: number } = of
    const active: ActiveRun = { run: number, hasNews: false, wake: undefined }
    lane.active.set(instance, active)
    const facts = { workflow, instance, program }
    try {
      const outcome = await deliver(program, { kind: 'workflow', workflow, program, className, instance, run: number })
      if (outcome.end !== 'ok') log('a run of a workflow was cut off', { ...facts, ...outcome })
    } catch (err) {
      log('a run of a workflow was cut off', { ...facts, err })
    } finally {
      active.wake?.()
      if (lane.active.get(instance) === active) lane.active.delete(instance)
    }
    await lose(workflow, of)
  }

  /** A run that said how it ended has nothing to lose. Asked until it is recorded: the instance would wait for it for good. */
  async function lose(workflow: string, { instance, run: number }: Claimed): Promise<void> {
    while (!isClosed && target(workflow) !== undefined) {
      try {
        await instances.ask(workflow, { do: 'lose', instance, run: number })
        return look(workflow)
      } catch (err) {
        if (isClosed || target(workflow) === undefined) return
        log('a run of a workflow is not recorded as over', { workflow, instance, err })
        await wait(retryMs, undefined, { ref: false })
      }
    }
  }

  async function claim(workflow: string, lane: Lane): Promise<void> {
    const found = target(workflow)
    if (found === undefined) return
    if (clock() - lane.sweptAt >= limits.workflowSweepMs) {
      lane.sweptAt = clock()
      await instances.ask(workflow, { do: 'forget', most: sweptAtOnce })
    }
    // Its instances rest as they are: the Snapshot that has the program again makes them look.
    const isResting = !isDeployed(found.program)
    if (isResting && !lane.isResting)
      log('instances of a workflow rest: its program is not deployed', { workflow, program: found.program })
    lane.isResting = isResting
    if (isResting) return
    const atOnce = Math.min(limits.workflowRuns, found.atOnce ?? limits.workflowRuns)
    const most = atOnce - lane.active.size
    if (most <= 0) return
    const { claimed, nextDue } = await instances.ask<{ claimed: Claimed[]; nextDue: number | null }>(workflow, {
      do: 'claim',
      most,
    })
    // Removed meanwhile: nothing of it is begun.
    if (target(workflow) === undefined) return
    for (const one of claimed) void run(workflow, lane, one, found)
    if (nextDue === null || lane.active.size >= atOnce) return
    const inMs = Math.min(Math.max(nextDue - clock(), 1), longestMs)
    lane.timer = setTimeout(() => look(workflow), inMs)
    lane.timer.unref()
  }

  function look(workflow: string): void {
    if (isClosed || target(workflow) === undefined) return
    const lane = laneOf(workflow)
    if (lane.isLooking) {
      lane.looksAgain = true
      return
    }
    clearTimeout(lane.timer)
    lane.isLooking = true
    claim(workflow, lane)
      .catch((err: unknown) => {
        if (target(workflow) === undefined) return
        log('instances of a workflow are not begun', { workflow, err })
        if (!isClosed) lane.timer = setTimeout(() => look(workflow), retryMs).unref()
      })
      .finally(() => {
        lane.isLooking = false
        if (!lane.looksAgain) return
        lane.looksAgain = false
        look(workflow)
      })
  }

  return {
    look,
    tell(workflow, instance) {
      const active = lanes.get(workflow)?.active.get(instance)
      if (active === undefined) return
      active.hasNews = true
      active.wake?.()
    },
    async changed(workflow, { instance, run: number }, signal) {
      const active = lanes.get(workflow)?.active.get(instance)
      if (active?.run !== number || signal?.aborted) return
      if (!active.hasNews) {
        const { promise, resolve } = Promise.withResolvers<void>()
        active.wake = resolve
        signal?.addEventListener('abort', () => resolve())
        await promise
        active.wake = undefined
      }
      active.hasNews = false
    },
    drop(workflow) {
      const lane = lanes.get(workflow)
      clearTimeout(lane?.timer)
      lanes.delete(workflow)
      for (const active of lane?.active.values() ?? []) active.wake?.()
    },
    close() {
      isClosed = true
      for (const { timer, active } of lanes.values()) {
        clearTimeout(timer)
        for (const { wake } of active.values()) wake?.()
      }
    },
  }
}
