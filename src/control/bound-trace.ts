/** Keeps a trace to its cap, so that one noisy invocation cannot fill the queues. */
import type { Trace } from '#/core/traces.ts'
import type { Bytes } from '#/core/units.ts'

const exceptionCharacters = 4096
const exceptionCount = 20

function size(value: unknown): Bytes {
  return Buffer.byteLength(JSON.stringify(value) ?? '')
}

/** As it is, or with its last logs, long exceptions and at last its event left out, and `truncated` set. */
export function boundTrace(trace: Trace, cap: Bytes): Trace {
  if (size(trace) <= cap) return trace
  const exceptions = trace.exceptions.slice(0, exceptionCount).map((exception) => ({
    ...exception,
    message: exception.message.slice(0, exceptionCharacters),
    ...(exception.stack === undefined ? {} : { stack: exception.stack.slice(0, exceptionCharacters) }),
  }))
  let kept: Trace = { ...trace, exceptions, logs: [], truncated: true }
  let left = cap - size(kept)
  if (left < 0) {
    kept = { ...kept, event: null }
    left = Math.max(0, cap - size(kept))
  }
  const logs: Trace['logs'][number][] = []
  for (const log of trace.logs) {
    left -= size(log) + 1
    if (left < 0) break
    logs.push(log)
  }
  return { ...kept, logs }
}
