/**
 * Tells a program of what is no request: a schedule, messages of a queue, traces. In a cell of its own it is a service in
 * front of the program's versions; in a shared cell the host hands the program over. The runtime gives `queue()` and
 * `scheduled()` to bindings of workers with a flag of their own, which must not hide methods of other programs: so it is
 * never the worker that programs call each other through.
 */

import { runWorkflow, type WorkflowRunEvent } from './workflow-run.worker.ts'

/** As `core/event-frame.ts` writes it. */
type Event =
  | WorkflowRunEvent
  | { kind: 'scheduled'; cron: string; scheduledTime: number }
  | { kind: 'queue'; queue: string; messages: MessageHead[]; metrics: Metrics }
  | { kind: 'tail'; traces: unknown[] }

interface MessageHead {
  readonly id: string
  readonly sentAt: number
  readonly attempts: number
  readonly type: 'text' | 'bytes' | 'json' | 'v8'
  readonly bytes: number
}

interface Metrics {
  readonly backlogCount: number
  readonly backlogBytes: number
  readonly oldestMessageTimestamp?: number
}

/** A program's default export, as this worker sees it. */
interface Target {
  scheduled(options: { cron: string; scheduledTime: Date }): Promise<{ outcome: string; noRetry: boolean }>
  queue(name: string, messages: object[], metadata: object): Promise<object>
  tail(traces: unknown[]): Promise<void>
}

/** A program, by the parts of it that are told. */
export interface Told {
  /** A class that it exports; absent: its default export. */
  readonly named: (entrypoint?: string) => unknown
  /** Asks the home of a workflow of the program. */
  readonly runs: (program: string, wish: { readonly path: string; readonly body: string }) => Promise<Response>
}

interface Environment {
  readonly cells: { current(): { getEntrypoint(service: string, entrypoint: string): unknown } }
  readonly [runs: `runs:${string}`]: Fetcher
}

export default {
  /** The path is the id of a deployment. */
  fetch(request: Request, env: Environment & Record<string, unknown>) {
    const deployment = new URL(request.url).pathname.slice(1)
    const told: Told = {
      named: (entrypoint) =>
        entrypoint === undefined
          ? env[deployment]
          : env.cells.current().getEntrypoint(`program:${deployment}`, entrypoint),
      runs: (_program, { path, body }) =>
        env[`runs:${deployment}`]!.fetch(`http://workflow${path}`, { method: 'POST', body }),
    }
    return deliverEvent(told, request.arrayBuffer())
  },
}

/** Answers what the runtime says of it as JSON, or `{ thrown }`: what kept it from being told. */
export async function deliverEvent(program: Told, sent: Promise<ArrayBuffer>): Promise<Response> {
  try {
    return Response.json(await tell(program, await sent))
  } catch (thrown) {
    const { name, message, stack } = thrown instanceof Error ? thrown : new Error(String(thrown))
    return Response.json({ thrown: { name, message, stack } })
  }
}

async function tell({ named, runs }: Told, sent: ArrayBuffer): Promise<object> {
  const headBytes = new DataView(sent).getUint32(0)
  const event = JSON.parse(new TextDecoder().decode(new Uint8Array(sent, 4, headBytes))) as Event
  if (event.kind === 'workflow')
    return runWorkflow(event, named(event.className), (path, body) => runs(event.program, { path, body }))
  const target = named() as Target
  switch (event.kind) {
    case 'scheduled':
      return target.scheduled({ cron: event.cron, scheduledTime: new Date(event.scheduledTime) })
    case 'queue': {
      const { backlogCount, backlogBytes, oldestMessageTimestamp: oldest } = event.metrics
      const oldestMessageTimestamp = oldest === undefined ? undefined : new Date(oldest)
      const metadata = { metrics: { backlogCount, backlogBytes, oldestMessageTimestamp } }
      return target.queue(event.queue, readMessages(event.messages, sent, 4 + headBytes), metadata)
    }
    case 'tail':
      await target.tail(event.traces)
      return { outcome: 'ok' }
  }
}

function readMessages(heads: readonly MessageHead[], sent: ArrayBuffer, from: number): object[] {
  let at = from
  return heads.map(({ id, sentAt, attempts, type, bytes }) => {
    at += bytes
    const body = sent.slice(at - bytes, at)
    const message = { id, timestamp: new Date(sentAt), attempts }
    if (type === 'v8') return { ...message, serializedBody: new Uint8Array(body) }
    if (type === 'bytes') return { ...message, body: new Uint8Array(body) }
    const text = new TextDecoder('utf-8', { ignoreBOM: true, fatal: false }).decode(body)
    return { ...message, body: type === 'json' ? JSON.parse(text) : text }
  })
}
