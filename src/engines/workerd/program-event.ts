/** An event on its way into a cell, and what the cell says of it. The other side is `inside/events.worker.ts`. */
import { EdgeError } from '#/core/errors.ts'
import { encodeEvent } from '#/core/event-frame.ts'
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { EventEnd, EventOutcome, ProgramEvent, QueueVerdict } from '#/core/program-events.ts'
import type { Deployment } from '#/core/snapshot.ts'
import type { Milliseconds } from '#/core/units.ts'
import type { CellRequest } from './cell-request.ts'

/** How long a program has for it. */
export function wallMsOf(event: ProgramEvent, limits: Pick<Limits, 'eventWallMs' | 'workflowRunMs'>): Milliseconds {
  return event.kind === 'workflow' ? limits.workflowRunMs : limits.eventWallMs
}

/** Sent to a cell; ends with the signal's reason after `wallMs`. */
export function eventRequest(
  event: ProgramEvent,
  to: Pick<CellRequest, 'path' | 'control'>,
  wallMs: Milliseconds,
): CellRequest {
  const signal = AbortSignal.timeout(wallMs)
  const body = encodeEvent(event)
  return { method: 'POST', authority: 'events', headers: [], body, isBodyRead: true, signal, ...to }
}

interface Told {
  readonly outcome?: string
  readonly noRetry?: boolean
  readonly ackAll?: boolean
  readonly retryBatch?: { readonly retry: boolean; readonly delaySeconds?: number }
  readonly explicitAcks?: readonly string[]
  readonly retryMessages?: readonly { readonly msgId: string; readonly delaySeconds?: number }[]
  readonly thrown?: NonNullable<EventOutcome['error']>
}

/** Rejects with `program_start_failed` in the runtime's words. */
export async function readOutcome(answer: Answer): Promise<EventOutcome> {
  const { body } = answer
  const bytes = body === null || body instanceof Uint8Array ? (body ?? '') : Buffer.concat(await body.toArray())
  if (answer.status !== 200) throw new EdgeError('internal', `A cell answered an event with ${answer.status}.`)
  const told = JSON.parse(Buffer.from(bytes).toString()) as Told
  if (told.thrown !== undefined) {
    if (isStartFailure(told.thrown.message)) throw new EdgeError('program_start_failed', told.thrown.message)
    return { end: 'exception', error: told.thrown }
  }
  const verdict = verdictOf(told)
  return {
    end: endOf(told.outcome),
    ...(told.noRetry === true && { noRetry: true }),
    ...(verdict && { verdict }),
  }
}

/** In the runtime's words. */
export function isStartFailure(message: string): boolean {
  return /^(Failed to start Worker|Worker has no )/.test(message)
}

/** By the runtime's name; `signal` timed out. */
const ends: readonly string[] = ['ok', 'exception', 'exceededCpu', 'exceededMemory', 'exceededWallTime', 'canceled']
const endOf = (outcome = 'unknown'): EventEnd => (ends.includes(outcome) ? (outcome as EventEnd) : 'unknown')

function verdictOf({ ackAll, retryBatch, explicitAcks, retryMessages = [] }: Told): QueueVerdict | undefined {
  if (ackAll === undefined || explicitAcks === undefined) return undefined
  const delayed = (delaySeconds: number | undefined) => (delaySeconds === undefined ? {} : { delaySeconds })
  return {
    ackAll,
    ...(retryBatch?.retry === true && { retryAll: delayed(retryBatch.delaySeconds) }),
    acks: explicitAcks,
    retries: retryMessages.map(({ msgId, delaySeconds }) => ({ id: msgId, ...delayed(delaySeconds) })),
  }
}

/** What stands for an end that the platform made: too long, or too much of the processor. `undefined`: it was neither. */
export function endMadeByUs(thrown: unknown, { program }: Deployment): EventOutcome | undefined {
  if (thrown instanceof DOMException && thrown.name === 'TimeoutError') return { end: 'exceededWallTime' }
  if (thrown instanceof EdgeError && thrown.code === 'program_exceeded_limits')
    return { end: 'exceededCpu', error: { name: 'Error', message: `${program} exceeded its CPU time limit.` } }
  return undefined
}
