/**
 * `fastly log-tail`: what a program writes, as the CLI asks for it: second by second, each answer given when its second is over.
 * https://www.fastly.com/documentation/reference/cli/log-tail/
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Context, Hono } from 'hono'
import type { OutputLine } from '#/core/program-output.ts'
import type { FastlyApiDeps } from './deps.ts'
import { FastlyError } from './errors.ts'

const path = '/service/:service/log_stream/managed/instance_output'
/** How long an answer waits for a first line, when nothing is written: the CLI asks anew at once. */
const windowMs = 1000

/** Lines of one service for everybody who follows it; each line has the number of its second. */
interface Stream {
  readonly lines: { readonly second: number; readonly line: OutputLine; readonly sequence: number }[]
  bytes: number
  askedAt: number
  readonly end: () => void
}

export function logTailRoutes({ control: { services }, compute: { output }, limits, clock }: FastlyApiDeps): Hono {
  const routes = new Hono()
  const streams = new Map<string, Stream>()
  let sequence = 0

  function open(service: string): Stream {
    forgetIdle()
    const known = streams.get(service)
    if (known !== undefined) {
      known.askedAt = clock()
      return known
    }
    if (streams.size >= limits.outputViewers)
      throw new FastlyError(429, 'Too many requests', `${limits.outputViewers} services are followed already.`)
    const stream: Stream = {
      lines: [],
      bytes: 0,
      askedAt: clock(),
      end: output.listen(services.siteName(service), (line) => keep(stream, line)),
    }
    streams.set(service, stream)
    return stream
  }

  /** Nobody asks any more: the engine need not write for this one. */
  function forgetIdle(): void {
    for (const [service, stream] of streams) {
      if (clock() - stream.askedAt < limits.outputViewerMs) continue
      stream.end()
      streams.delete(service)
    }
  }

  /** The oldest go when nobody fetches them. */
  function keep(stream: Stream, line: OutputLine): void {
    if (clock() - stream.askedAt >= limits.outputViewerMs) {
      forgetIdle()
      return
    }
    stream.lines.push({ second: secondOf(clock()), line, sequence: ++sequence })
    stream.bytes += line.message.length
    while (stream.bytes > limits.outputQueueBytes) stream.bytes -= stream.lines.shift()!.line.message.length
  }

  routes.post(path, (c) => {
    const { id, kind } = services.service(c.req.param('service'))
    if (kind !== 'compute') throw new FastlyError(400, 'Bad request', 'Only Compute services write output.')
    open(id)
    return c.json({ status: 'ok' })
  })

  routes.get(path, async (c) => {
    const { id } = services.service(c.req.param('service'))
    const stream = open(id)
    const now = secondOf(clock())
    const from = readSecond(c) ?? now
    // What is written up to now goes out at once, else when this second is over.
    if (!stream.lines.some(({ second }) => second >= from && second < secondOf(clock())))
      await sleep(Math.min(windowMs, Math.max(1, (Math.max(from, now) + 1) * 1000 - clock())))
    const until = Math.max(from + 1, secondOf(clock()))
    const found = stream.lines.filter(({ second }) => second >= from && second < until)
    stream.askedAt = clock()
    c.header('link', `<${linkTo(c, until)}>; rel="next", <${linkTo(c, from)}>; rel="prev"`)
    c.header('content-type', 'application/x-ndjson')
    return c.body(
      found.length === 0 ? '' : `${JSON.stringify({ batch_id: String(from), logs: found.map(lineView) })}\n`,
    )
  })
  return routes
}

const secondOf = (time: number) => Math.floor(time / 1000)

function readSecond(c: Context): number | undefined {
  const text = c.req.query('from') ?? ''
  return /^\d{9,11}$/.test(text) ? Number(text) : undefined
}

function linkTo(c: Context, second: number): string {
  const url = new URL(c.req.url)
  url.search = `?from=${second}`
  return url.href
}

function lineView({ line, sequence }: Stream['lines'][number]): object {
  return {
    sequence_number: sequence,
    request_start_us: line.at * 1000,
    stream: line.stream,
    id: line.requestId,
    message: line.message,
  }
}
