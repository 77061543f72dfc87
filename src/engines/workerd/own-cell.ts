/** One running cell that belongs to one program: its deployments, each behind a socket of its own. */

import type { EdgeError } from '#/core/errors.ts'
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { ProgramRequest } from '#/core/ports.ts'
import type { EventOutcome, ProgramEvent } from '#/core/program-events.ts'
import type { Deployment, DeploymentId } from '#/core/snapshot.ts'
import type { Milliseconds } from '#/core/units.ts'
import { cellSocket, debugAddress, startCell } from './cell.ts'
import { type CellClient, createCellClient } from './cell-client.ts'
import { type CellPlan, cellConfig, socketOf } from './cell-config.ts'
import { type BlobSource, readFiles } from './cell-files.ts'
import { type CellRequest, cellRequest } from './cell-request.ts'
import { createExceptionWords } from './exception-words.ts'
import { fenceBody, type Passes, stoppedError } from './fence-stream.ts'
import { connectionsTo } from './open-connections.ts'
import { openHeld } from './open-held.ts'
import { cpuOf } from './process-cpu.ts'
import { isGone, isUncaught, objectAway, toProgramError, uncaught } from './program-answer.ts'
import { eventRequest, readOutcome, wallMsOf } from './program-event.ts'
import { type CuttableSocket, cuttable } from './web-socket-cut.ts'

export interface OwnCell {
  readonly pid: number
  /** Requests whose answer is not complete yet; WebSockets are not among them. */
  readonly inFlight: number
  readonly webSockets: number
  /** Connections of other cells, which call it or hold a WebSocket to it. */
  readonly callers: number
  /** It is being ended: nothing new may go there. */
  readonly ending: boolean
  /** Resolves with why, when the process is gone. */
  readonly exited: Promise<string>
  /** `workerdDebugPort` address at which other cells reach its services. */
  readonly debugAddress: string
  runs(deployment: DeploymentId): boolean
  /** Rejects with an `EdgeError` (`program_*`, `overloaded`) or with the signal's reason. */
  request(deployment: DeploymentId, request: ProgramRequest): Promise<Answer>
  /** Rejects like `request`, or with a timeout. */
  deliver(deployment: DeploymentId, event: ProgramEvent): Promise<EventOutcome>
  /** Sends traces, or stops sending them. */
  trace(wanted: boolean): Promise<void>
  cpu(): Milliseconds
  /** SIGKILL, at once; WebSockets end with 1012. */
  kill(): void
  /** Lets requests finish for `limitMs`, ends WebSockets with 1012 (service restart), ends the process. */
  retire(limitMs: Milliseconds): Promise<void>
}

export interface OwnCellOptions {
  readonly plan: Omit<CellPlan, 'socket' | 'purpose'>
  readonly folder: string
  readonly blobs: BlobSource
  readonly limits: Limits
  /** CPU time without an answer at which the process is stuck. Default: the longest that one of its deployments may use. */
  readonly stuckMs?: Milliseconds
  /** It is ended for its CPU time. */
  readonly onStuck?: () => void
  /** May what it says leave now? Absent: always. */
  readonly passes?: Passes
  /** Was the program just told that a Durable Object is out of reach? */
  readonly objectAway?: () => EdgeError | undefined
  /** Several programs share the process: what it says on stderr is of any of them. */
  readonly isGroup?: boolean
}

/** Longest time between a process that closes its sockets and the news that it ended. */
const exitNoticeMs = 50

/** The kernel does not tell when a connection ends, so we look. */
const callersEveryMs = 20

/**
 * Part of the drain for calls of other cells: a forwarding object keeps its connection for 10 s after its last call, so
 * many of them are only left over.
 */
const callersShare = 0.25

/** How often a cell is looked at: half of the shortest CPU limit that makes sense. */
const watchEveryMs = 100

/** RFC 6455 §7.4.1 registry: 1012 is «service restart»; clients connect again. */
const serviceRestart = 1012

/** Rejects with `program_start_failed` and workerd's words. */
export async function startOwnCell(options: OwnCellOptions): Promise<OwnCell> {
  const { folder, blobs, limits } = options
  const deployments = await Promise.all(options.plan.deployments.map((one) => openHeld(blobs, one)))
  const plan = { ...options.plan, deployments }
  const { config, files } = cellConfig({ ...plan, socket: (name) => cellSocket(folder, name), purpose: 'serve' })
  const exceptions = createExceptionWords()
  const cell = await startCell({
    name: plan.program.name,
    config,
    folder,
    files: await readFiles(blobs, files),
    // Programs of a group start one after the other.
    startMs: limits.programStartMs * plan.deployments.length + limits.cellStartMs,
    reachable: true,
    onLine: exceptions.onLine,
  })
  const clients = new Map<DeploymentId, CellClient>(
    plan.deployments.map((deployment) => [deployment.id, createCellClient(cell.socket(socketOf(deployment)), limits)]),
  )
  const pulse = createCellClient(cell.socket('pulse'), limits)
  const events = createCellClient(cell.socket('events'), limits)
  const sockets = new Set<CuttableSocket>()
  const quiet = new Set<() => void>()
  let inFlight = 0
  let ending = false

  const callers = () => connectionsTo(debugAddress(cell).slice('unix:'.length))

  function finished(): void {
    inFlight--
    if (inFlight > 0) return
    for (const resolve of quiet) resolve()
    quiet.clear()
  }

  function handOver(answer: Answer): Answer {
    if (answer.upgraded !== undefined) {
      finished()
      const socket = cuttable(answer.upgraded, options.passes)
      sockets.add(socket)
      socket.outer.once('close', () => sockets.delete(socket))
      return { ...answer, upgraded: socket.outer }
    }
    if (answer.body === null || answer.body instanceof Uint8Array) finished()
    else answer.body.once('close', finished)
    if (options.passes !== undefined && answer.body !== null && !(answer.body instanceof Uint8Array))
      return { ...answer, body: fenceBody(answer.body, options.passes) }
    return answer
  }

  function kill(): void {
    ending = true
    for (const socket of sockets) socket.cut(serviceRestart)
    cell.kill()
  }

  const watch = watchCpu(
    cell.pid,
    options.stuckMs ?? cpuLimit(plan.deployments, limits),
    () => ping(pulse),
    () => {
      options.onStuck?.()
      cell.kill()
    },
  )
  let isOver = false
  void cell.exited.then(() => {
    isOver = true
    watch.stop()
    pulse.close()
    events.close()
    for (const client of clients.values()) client.close()
  })

  /** Counts it as in flight; who gets an answer calls `finished`. */
  async function ask(client: CellClient, request: CellRequest): Promise<Answer> {
    inFlight++
    let answer: Answer
    try {
      answer = await client.request(request)
    } catch (thrown) {
      finished()
      // The connection may close before the end of the process is known; who asks again must not come back here.
      if (isGone(thrown)) await within(exitNoticeMs, cell.exited)
      const away = isGone(thrown) && !isOver ? options.objectAway?.() : undefined
      throw away === undefined ? toProgramError(thrown, watch) : objectAway(away)
    }
    if (options.passes?.() === false) {
      finished()
      kill()
      throw stoppedError()
    }
    return answer
  }

  return {
    pid: cell.pid,
    exited: cell.exited,
    debugAddress: debugAddress(cell),
    get callers() {
      return callers()
    },
    get ending() {
      return ending || watch.hung
    },
    get inFlight() {
      return inFlight
    },
    get webSockets() {
      return sockets.size
    },
    runs: (deployment) => clients.has(deployment),
    async request(deployment, request) {
      const answer = await ask(clients.get(deployment)!, cellRequest(request))
      const handed = handOver(answer)
      if (isUncaught(answer)) throw uncaught(options.isGroup === true ? undefined : await exceptions.next())
      return handed
    },
    async deliver(deployment, event) {
      const answer = await ask(events, eventRequest(event, { path: `/${deployment}` }, wallMsOf(event, limits)))
      try {
        const outcome = await readOutcome(answer)
        if (outcome.end !== 'exception' || outcome.error !== undefined) return outcome
        const message = await exceptions.next()
        return message === undefined ? outcome : { ...outcome, error: { name: 'Error', message } }
      } finally {
        finished()
      }
    },
    async trace(wanted) {
      await ping(pulse, wanted ? 'PUT' : 'DELETE')
    },
    cpu: () => cpuOf(cell.pid),
    kill,
    async retire(limitMs) {
      if (inFlight > 0) await within(limitMs, new Promise<void>((resolve) => quiet.add(resolve)), cell.exited)
      const deadline = performance.now() + limitMs * callersShare
      while (callers() > 0 && performance.now() < deadline) await within(callersEveryMs, cell.exited)
      // What the program acknowledged is on disk, and the next cell may only open it when this one is gone.
      kill()
      await cell.exited
    },
  }
}

function cpuLimit(deployments: readonly Deployment[], limits: Limits): Milliseconds {
  return Math.max(...deployments.map((deployment) => deployment.limits.cpuMs ?? limits.programCpuMs))
}

async function ping(pulse: CellClient, method = 'GET'): Promise<void> {
  const path = method === 'GET' ? '/' : '/wanted'
  await pulse.request({ method, path, authority: 'pulse', headers: [], body: null })
}

/**
 * A cell is stuck when it does not answer a pulse and has burnt its CPU limit since it was sent: then `kill`. Pulses are
 * sent only while the process is busy, so an idle cell costs one read of /proc a look.
 */
function watchCpu(pid: number, limitMs: Milliseconds, pulse: () => Promise<void>, kill: () => void) {
  let before = cpuOf(pid)
  let pulseCpu: Milliseconds | undefined
  const facts = { hung: false, stop: () => clearInterval(timer) }
  const timer = setInterval(() => {
    const now = cpuOf(pid)
    if (pulseCpu === undefined && now - before >= watchEveryMs / 2) {
      pulseCpu = now
      const answered = () => {
        pulseCpu = undefined
      }
      pulse().then(answered, answered)
    } else if (pulseCpu !== undefined && now - pulseCpu >= limitMs) {
      facts.hung = true
      kill()
    }
    before = now
  }, watchEveryMs)
  timer.unref()
  return facts
}

async function within(limitMs: Milliseconds, ...events: Promise<unknown>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs)
  })
  await Promise.race([late, ...events])
  clearTimeout(timer)
}
