/** Live log lines of one program, as a bounded stream: a slow reader loses lines and is told how many. */
import type { Trace, Traces } from '#/core/traces.ts'

export interface LogStreamOptions {
  readonly traces: Pick<Traces, 'listen'>
  readonly program: string
  readonly format: 'ndjson' | 'events'
  /** Lines that wait for a slow reader, at most. */
  readonly queueLines: number
  /** A blank line this often shows both sides that the connection lives. */
  readonly keepAliveMs: number
  readonly onClose: () => void
}

/** The body of `GET /programs/NAME/logs`: UTF-8 NDJSON or server-sent events, without end until it is cancelled. */
export function streamLogs(options: LogStreamOptions): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const frame = (text: string): Uint8Array =>
    encoder.encode(options.format === 'events' ? `data: ${text}\n\n` : `${text}\n`)
  const idle = encoder.encode(options.format === 'events' ? ':\n\n' : '\n')
  let dropped = 0
  let stop = (): void => {}
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const send = (trace: Trace): void => {
          if ((controller.desiredSize ?? 0) <= 0) {
            dropped += 1
            return
          }
          if (dropped > 0) controller.enqueue(frame(JSON.stringify({ dropped })))
          dropped = 0
          controller.enqueue(frame(JSON.stringify(trace)))
        }
        const unlisten = options.traces.listen(options.program, send)
        const timer = setInterval(() => {
          if ((controller.desiredSize ?? 0) > 0) controller.enqueue(idle)
        }, options.keepAliveMs)
        timer.unref()
        stop = () => {
          clearInterval(timer)
          unlisten()
          options.onClose()
        }
        controller.enqueue(idle)
      },
      cancel: () => stop(),
    },
    { highWaterMark: options.queueLines },
  )
}
