/** Lines of programs that did not reach their endpoints, for `/metrics`. */
import { Counter, type Registry } from 'prom-client'
import type { Limits } from '#/core/limits.ts'
import type { LogSinks } from './log-sinks.ts'

/** `rimward_program_log_dropped_total` by program and endpoint. */
export function addLogMetrics(parts: {
  readonly registry: Registry
  readonly sinks: Pick<LogSinks, 'dropped'>
  readonly limits: Pick<Limits, 'metricSites'>
}): void {
  new Counter({
    name: 'rimward_program_log_dropped_total',
    help: 'Lines of programs that did not reach their log endpoint',
    labelNames: ['program', 'endpoint'],
    registers: [parts.registry],
    collect() {
      this.reset()
      // Labels stay bounded.
      for (const { program, endpoint, lines } of parts.sinks.dropped().slice(0, parts.limits.metricSites))
        this.inc({ program, endpoint }, lines)
    },
  })
}
