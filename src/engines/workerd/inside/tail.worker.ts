/**
 * Runs beside a program in its cell: sends what it logged to the backplane while somebody listens, and answers the
 * pulse by which the outside sees that the process is not stuck.
 */
/** Id of a deployment → where its traces go. */
type Environment = Record<string, Fetcher>

let wanted = false

export default {
  /** `PUT /wanted` and `DELETE /wanted` switch the sending; anything else is a pulse. */
  fetch(request: Request): Response {
    if (new URL(request.url).pathname === '/wanted') wanted = request.method === 'PUT'
    return new Response(null, { status: 204 })
  },

  async tail(items: TraceItem[], environment: Environment, context: ExecutionContext): Promise<void> {
    if (!wanted) return
    const { deployment } = context.props as { deployment: string }
    const body = JSON.stringify(items.map(toTrace))
    await environment[deployment]!.fetch('http://traces/', { method: 'POST', body })
  },
}

/** What of a trace goes on: what is there of it. */
function toTrace(item: TraceItem): object {
  const { outcome, eventTimestamp, event, logs, exceptions, entrypoint, truncated } = item
  const { cpuTime, wallTime, executionModel, durableObjectId, diagnosticsChannelEvents: channel } = item
  return {
    ...{ outcome, eventTimestamp, event, logs, exceptions, cpuTime, wallTime, executionModel },
    ...(entrypoint !== undefined && { entrypoint }),
    ...(durableObjectId !== undefined && { durableObjectId }),
    ...(channel.length > 0 && { diagnosticsChannelEvents: channel }),
    ...(truncated && { truncated }),
  }
}
