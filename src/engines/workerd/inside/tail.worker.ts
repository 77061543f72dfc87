/**
 * Runs beside a program in its cell: sends what it logged to the backplane while somebody listens, and answers the
 * pulse by which the outside sees that the process is not stuck.
 */
interface Environment {
  readonly traces: Fetcher
  readonly program: string
  /** Service name → id of the deployment. */
  readonly deployments: Record<string, string>
}

let wanted = false

export default {
  /** `PUT /wanted` and `DELETE /wanted` switch the sending; anything else is a pulse. */
  fetch(request: Request): Response {
    if (new URL(request.url).pathname === '/wanted') wanted = request.method === 'PUT'
    return new Response(null, { status: 204 })
  },

  async tail(items: TraceItem[], environment: Environment): Promise<void> {
    if (!wanted) return
    const traces = items.map((item) => toTrace(item, environment))
    await environment.traces.fetch('http://traces/', { method: 'POST', body: JSON.stringify(traces) })
  },
}

function toTrace(item: TraceItem, environment: Environment): object {
  const id = environment.deployments[item.scriptName ?? '']
  return {
    scriptName: environment.program,
    ...(id === undefined ? {} : { scriptVersion: { id } }),
    outcome: item.outcome,
    eventTimestamp: item.eventTimestamp,
    event: item.event,
    logs: item.logs,
    exceptions: item.exceptions,
    ...(item.entrypoint === undefined ? {} : { entrypoint: item.entrypoint }),
  }
}
