/**
 * Runs beside a program in its cell: sends what it logged to the backplane while somebody listens, and answers the
 * pulse by which the outside sees that the process is not stuck.
 */
interface Environment {
  readonly traces: Fetcher
  readonly program: string
}

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
    const traces = items.map((item) => toTrace(item, environment.program, deployment))
    await environment.traces.fetch('http://traces/', { method: 'POST', body: JSON.stringify(traces) })
  },
}

function toTrace(item: TraceItem, program: string, deployment: string): object {
  return {
    scriptName: program,
    scriptVersion: { id: deployment },
    outcome: item.outcome,
    eventTimestamp: item.eventTimestamp,
    event: item.event,
    logs: item.logs,
    exceptions: item.exceptions,
    ...(item.entrypoint === undefined ? {} : { entrypoint: item.entrypoint }),
  }
}
