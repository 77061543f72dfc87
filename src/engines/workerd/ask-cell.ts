/** One request to one shared cell: which isolate, is it loaded, and what its answer means. */
import { finished, Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { ProgramAnswer, ProgramRequest } from '#/core/ports.ts'
import type { EventOutcome, ProgramEvent } from '#/core/program-events.ts'
import type { Deployment, DeploymentId } from '#/core/snapshot.ts'
import type { Traces } from '#/core/traces.ts'
import { CellFailure } from './cell-failure.ts'
import { cellRequest } from './cell-request.ts'
import type { Bundles } from './code-bundle.ts'
import { isObjectAway, objectAway } from './program-answer.ts'
import { eventRequest, isStartFailure, readOutcome, wallMsOf } from './program-event.ts'
import { type IsolateId, type SharedCell, tellHost } from './shared-cell.ts'

export interface Isolates {
  /** Sends one request. Rejects with `CellFailure` when the cell failed, with `EdgeError` when the program did. */
  ask(cell: SharedCell, deployment: Deployment, request: ProgramRequest): Promise<ProgramAnswer>
  /** Rejects like `ask`, or with a timeout. */
  deliver(cell: SharedCell, deployment: Deployment, event: ProgramEvent): Promise<EventOutcome>
  /** Resolves when the program is loaded there (or failed to load: its first request will say why). */
  load(cell: SharedCell, deployment: Deployment): Promise<void>
  /**
   * After a new Snapshot: bindings to programs mean their new deployments when this resolves; isolates of deployments
   * that are not kept by then go after `drainMs`, unless they have something in flight.
   */
  retain(cell: SharedCell, kept: (deployment: DeploymentId) => boolean): Promise<void>
  /** The isolate that answers for a deployment now. */
  idOf(deployment: Deployment): IsolateId
}

/** The deployment in an isolate's id. */
export function deploymentOf(isolate: IsolateId): DeploymentId {
  return isolate.split('.', 1)[0]!
}

/** Keeps no state but the generations of programs that failed to start (bounded by `programs`). */
export function createIsolates(
  limits: Pick<Limits, 'cellPrograms' | 'programs' | 'drainMs' | 'eventWallMs' | 'workflowRunMs'>,
  traces: Traces,
  bundles: Pick<Bundles, 'held'>,
): Isolates {
  /** An isolate that failed to start fails for ever under its name; the next one gets another name. */
  const generations = new Map<DeploymentId, number>()

  function idOf(deployment: Deployment): IsolateId {
    const plain = `${deployment.id}.${generations.get(deployment.id) ?? 0}`
    return traces.wanted(deployment.program) ? `${plain}.t` : plain
  }

  function nextGeneration(deployment: Deployment): void {
    if (generations.size > limits.programs) generations.clear()
    generations.set(deployment.id, (generations.get(deployment.id) ?? 0) + 1)
  }

  const tell = (cell: SharedCell, line: string) => tellHost(cell.client, line)

  function evict(cell: SharedCell, isolate: IsolateId): void {
    cell.loaded.delete(isolate)
    cell.called.delete(isolate)
    void tell(cell, `!evict ${isolate}`)
  }

  function makeRoom(cell: SharedCell): void {
    for (const isolate of cell.loaded.keys()) {
      if (cell.loaded.size <= limits.cellPrograms) return
      if (!cell.busy.has(isolate)) evict(cell, isolate)
    }
  }

  /**
   * Notes the use. An isolate is started by a request of our own: one that a client can break off would leave it half
   * started for ever. The program's request may follow at once, it waits for the same start.
   */
  function touch(cell: SharedCell, isolate: IsolateId, deployment: Deployment): 'cold' | 'warm' {
    const known = cell.loaded.get(isolate)
    cell.loaded.delete(isolate)
    cell.loaded.set(isolate, known ?? tellHost(cell.client, `!warm ${isolate}`, bundles.held(deployment)))
    if (known !== undefined) return 'warm'
    makeRoom(cell)
    return 'cold'
  }

  function noteFailure(cell: SharedCell, isolate: IsolateId, deployment: Deployment, failure: unknown): void {
    if (!(failure instanceof EdgeError) || failure.code !== 'program_start_failed') return
    cell.loaded.delete(isolate)
    nextGeneration(deployment)
  }

  async function ask(cell: SharedCell, deployment: Deployment, request: ProgramRequest): Promise<ProgramAnswer> {
    const isolate = idOf(deployment)
    const done = occupy(cell, isolate)
    const start = touch(cell, isolate, deployment)
    try {
      const answer = await cell.client.request(cellRequest(request, isolate))
      if (answer.status === 500 && hasField(answer.headers, 'rimward-failed')) {
        const failure = await failureOf(answer)
        noteFailure(cell, isolate, deployment, failure)
        throw failure
      }
      whenOver(answer, done)
      return { ...answer, start }
    } catch (error) {
      done()
      if (request.signal.aborted && !(error instanceof EdgeError) && !(error instanceof CellFailure))
        throw new EdgeError('client_gone', 'The client left before the program answered.', { cause: error })
      throw error
    }
  }

  return {
    ask,
    idOf,
    async deliver(cell, deployment, event) {
      const isolate = idOf(deployment)
      const done = occupy(cell, isolate)
      touch(cell, isolate, deployment)
      try {
        // The isolate's ways out are those of the host that starts it, which is not the one that tells it of events.
        await cell.loaded.get(isolate)
        const control = ['rimward-program', `!event ${isolate}`]
        const answer = await cell.events.request(eventRequest(event, { path: '/', control }, wallMsOf(event, limits)))
        return await readOutcome(answer)
      } catch (failure) {
        noteFailure(cell, isolate, deployment, failure)
        throw failure
      } finally {
        done()
      }
    },
    async load(cell, deployment) {
      const isolate = idOf(deployment)
      touch(cell, isolate, deployment)
      await cell.loaded.get(isolate)
    },
    async retain(cell, kept) {
      await tell(cell, '!routes')
      // Calls between programs are not seen from outside: they get the time that requests have at a shutdown.
      const later = setTimeout(() => {
        for (const isolate of [...cell.loaded.keys(), ...cell.called])
          if (!kept(deploymentOf(isolate)) && !cell.busy.has(isolate)) evict(cell, isolate)
      }, limits.drainMs)
      later.unref()
    },
  }
}

/** Counts a request as in flight until the returned function is called (once). */
function occupy(cell: SharedCell, isolate: IsolateId): () => void {
  cell.busy.set(isolate, (cell.busy.get(isolate) ?? 0) + 1)
  let over = false
  return () => {
    if (over) return
    over = true
    const left = (cell.busy.get(isolate) ?? 1) - 1
    if (left > 0) cell.busy.set(isolate, left)
    else cell.busy.delete(isolate)
  }
}

function whenOver(answer: Answer, done: () => void): void {
  const stream = answer.upgraded ?? (answer.body instanceof Readable ? answer.body : undefined)
  if (stream === undefined) done()
  else finished(stream, done)
}

function hasField(headers: readonly string[], name: string): boolean {
  for (let index = 0; index < headers.length; index += 2)
    if (headers[index]!.length === name.length && headers[index]!.toLowerCase() === name) return true
  return false
}

/** What the host caught: a start that failed, or an exception in a handler. */
async function failureOf(answer: Answer): Promise<EdgeError> {
  const parts: Uint8Array[] = []
  if (answer.body instanceof Uint8Array) parts.push(answer.body)
  else if (answer.body !== null) for await (const part of answer.body) parts.push(part as Uint8Array)
  const told = JSON.parse(Buffer.concat(parts).toString()) as { name?: string; message?: string; stack?: string }
  const message = told.message ?? ''
  if (isStartFailure(message)) return new EdgeError('program_start_failed', message)
  if (isObjectAway(message)) return objectAway(message)
  // What was thrown is for the log and the traces; the page is for a visitor.
  const cause = told.stack ?? `${told.name ?? 'Error'}: ${message}`
  return new EdgeError('program_exception', 'The program threw an exception.', { cause })
}
