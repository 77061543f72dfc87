/** Log endpoints outside of this node: HTTP servers that get batches of lines, and syslog servers. */
import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { LogEndpoint } from '#/core/compute.ts'
import type { Dialer } from '#/core/dialer.ts'
import type { Limits } from '#/core/limits.ts'
import type { Egress } from '#/core/ports.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import type { EpochMs } from '#/core/units.ts'
import { createLogQueue, type LogQueue } from './log-queue.ts'

type OutsideEndpoint = Exclude<LogEndpoint, { readonly kind: 'log' }>

export interface EndpointLine {
  readonly program: ProgramName
  readonly endpoint: OutsideEndpoint
  readonly requestId: string
  readonly at: EpochMs
  readonly message: string
}

export interface LogSinks {
  /** Never waits and never fails. */
  write(line: EndpointLine): void
  /** Lines that did not arrive, by program and endpoint. */
  dropped(): readonly { readonly program: ProgramName; readonly endpoint: string; readonly lines: number }[]
  /** Sends what waits, as long as one attempt takes. */
  close(): Promise<void>
}

export interface SinkParts {
  readonly egress: Pick<Egress, 'fetch'>
  readonly dialer: Dialer
  readonly limits: Limits
  /** Name of this point of presence, the host of syslog messages. */
  readonly hostname: string
  readonly log: (message: string, facts?: object) => void
}

interface Sink {
  readonly program: ProgramName
  readonly endpoint: OutsideEndpoint
  readonly queue: LogQueue
}

export function createLogSinks(parts: SinkParts): LogSinks {
  const { limits, log } = parts
  /** As many as services define: a changed endpoint of the same name takes the place of the one before. */
  const sinks = new Map<string, Sink>()

  function open({ program, endpoint }: EndpointLine): Sink {
    const send = endpoint.kind === 'http' ? postTo(parts, program, endpoint) : syslogTo(parts, program, endpoint)
    const onLoss = (lines: number, reason: string) =>
      log('log lines were lost', { program, endpoint: endpoint.name, lines, reason })
    return { program, endpoint, queue: createLogQueue({ send, onLoss, limits }) }
  }

  function sinkOf(line: EndpointLine): Sink {
    const key = `${line.program}\0${line.endpoint.name}`
    const known = sinks.get(key)
    if (known !== undefined && JSON.stringify(known.endpoint) === JSON.stringify(line.endpoint)) return known
    known?.queue.close()
    const sink = open(line)
    sinks.set(key, sink)
    return sink
  }

  return {
    write(line) {
      const { kind } = line.endpoint
      sinkOf(line).queue.add(Buffer.from(kind === 'http' ? `${line.message}\n` : syslogFrame(line, parts.hostname)))
    },
    dropped: () =>
      [...sinks.values()].map(({ program, endpoint, queue }) => ({
        program,
        endpoint: endpoint.name,
        lines: queue.dropped,
      })),
    close: async () => void (await Promise.all([...sinks.values()].map(({ queue }) => queue.close()))),
  }
}

type Send = (lines: readonly Uint8Array[]) => Promise<void>

function postTo(
  { egress, limits }: SinkParts,
  program: ProgramName,
  endpoint: Extract<LogEndpoint, { readonly kind: 'http' }>,
): Send {
  const headers = ['content-type', endpoint.contentType ?? 'text/plain', ...(endpoint.header ?? [])]
  return async (lines) => {
    const answer = await egress.fetch({
      by: { program },
      method: endpoint.method,
      url: endpoint.url,
      headers,
      body: Buffer.concat(lines),
      wantsUpgrade: false,
      signal: AbortSignal.timeout(limits.computeLogSendMs),
    })
    if (answer.body instanceof Readable) answer.body.destroy()
    if (answer.status >= 300) throw new Error(`It answered ${answer.status}.`)
  }
}

/** One connection, opened when there are lines and closed when there have been none for a while. */
function syslogTo(
  { dialer, limits }: SinkParts,
  program: ProgramName,
  { host, port, tls }: Extract<LogEndpoint, { readonly kind: 'syslog' }>,
): Send {
  let connection: Awaited<ReturnType<Dialer['dial']>> | undefined

  async function open() {
    const signal = AbortSignal.timeout(limits.computeLogSendMs)
    const opened = await dialer.dial({ by: { program }, host, port, tls, signal })
    opened.setTimeout(limits.computeLogIdleMs, () => opened.destroy())
    opened.on('error', () => {})
    opened.on('close', () => {
      if (connection === opened) connection = undefined
    })
    // Syslog servers say nothing; what one says all the same is not kept. RFC 6587 §3
    opened.resume()
    opened.unref()
    connection = opened
    return opened
  }

  return async (lines) => {
    const open_ = connection ?? (await open())
    if (!open_.write(Buffer.concat(lines))) {
      const signal = AbortSignal.timeout(limits.computeLogSendMs)
      await Promise.race([
        once(open_, 'drain', { signal }),
        once(open_, 'close', { signal }).then(() => Promise.reject(new Error('The connection was closed.'))),
      ])
    }
  }
}

/** Facility `local0`, severity informational. RFC 5424 §6.2.1 */
const priority = 16 * 8 + 6

/** Printable ASCII without spaces, cut to its field's length. RFC 5424 §6 */
function field(text: string, length: number): string {
  return text.replace(/[^\x21-\x7e]/g, '_').slice(0, length) || '-'
}

/** A message in the frame of RFC 6587 §3.4.1: its length in bytes stands before it. */
export function syslogFrame({ at, program, requestId, endpoint, message }: EndpointLine, hostname: string): string {
  const time = new Date(at).toISOString()
  const names = [field(hostname, 255), field(program, 48), field(requestId, 128), field(endpoint.name, 32)]
  const text = `<${priority}>1 ${time} ${names.join(' ')} - ${message}`
  return `${Buffer.byteLength(text)} ${text}`
}
