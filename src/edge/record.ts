/**
 * Ends an exchange: one line in the log, one count in the metrics.
 */

import type { AcceptedExchange } from './accepted.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

export interface Recorder {
  record(exchange: AcceptedExchange): void
}

export function createRecorder(options: {
  readonly log: Log
  readonly metrics: Metrics
  readonly pop: string
  /** False where lines about exchanges must not be written. */
  readonly mayLog: () => boolean
}): Recorder {
  const { log, metrics, pop, mayLog } = options
  return {
    record(exchange) {
      const durationMs = performance.now() - exchange.startedTick
      const status = exchange.status ?? exchange.error?.row.status ?? 0
      const bytesIn = exchange.requestBody?.bytes ?? 0
      const bytesOut = exchange.bytesOut ?? 0
      const { error, withheld } = exchange
      metrics.exchange({ site: exchange.site, status, source: error?.row.source, durationMs, bytesIn, bytesOut })
      metrics.counts.count({
        site: exchange.site,
        status,
        failed: error !== undefined,
        bytesIn,
        bytesOut,
        httpVersion: exchange.httpVersion,
        tlsVersion: exchange.client.tls?.version,
        cache: exchange.cache,
      })
      if (!mayLog()) return
      log.exchange({
        time: isoTime(exchange.startedAt),
        id: exchange.id,
        pop,
        site: exchange.site,
        program: exchange.program,
        deployment: exchange.deployment,
        client: withheld ? '' : exchange.client.address,
        country: withheld ? undefined : exchange.connection.country,
        method: exchange.method,
        scheme: exchange.scheme,
        host: exchange.host,
        path: withheld ? '' : exchange.path,
        httpVersion: exchange.httpVersion,
        status,
        bytesIn,
        bytesOut,
        durationMs: Math.round(durationMs * 1000) / 1000,
        cache: exchange.cache,
        start: exchange.start,
        error: error?.code,
        detail: error?.message,
        handedTo: exchange.handedTo,
        handedFrom: exchange.handedFrom,
        cause: error?.cause === undefined ? undefined : describeCause(error.cause),
      })
    },
  }
}

let lastSecond = 0
let lastPrefix = ''

/** ISO 8601 with milliseconds; the part up to the second is kept, since most exchanges share it with the one before. */
function isoTime(epochMs: number): string {
  const second = Math.floor(epochMs / 1000)
  if (second !== lastSecond) {
    lastSecond = second
    lastPrefix = new Date(second * 1000).toISOString().slice(0, 20)
  }
  return `${lastPrefix}${String(Math.floor(epochMs - second * 1000)).padStart(3, '0')}Z`
}

/** For the operator only: class, message and first line of the stack, never more than 500 characters. */
function describeCause(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause).slice(0, 500)
  const place = cause.stack?.split('\n').find((line) => line.trimStart().startsWith('at '))
  return `${cause.name}: ${cause.message}${place === undefined ? '' : ` ${place.trim()}`}`.slice(0, 500)
}
