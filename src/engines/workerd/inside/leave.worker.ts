/** The way out of a program of a dispatch namespace: what the call's ticket grants, through the outbound Worker where one is bound. */

/** What may leave, as `dispatched-calls.ts` says it. */
interface Leave {
  readonly outbound?: { readonly program: string; readonly parameters: Record<string, unknown> }
}

export interface LeaveWays {
  /** Asks for one request out; the body is the ticket. */
  readonly ask: (ticket: string) => Promise<Response>
  /** To the network, as any program's `fetch()`. */
  readonly out: (request: Request) => Promise<Response>
  readonly through: (
    program: string,
    parameters: Record<string, unknown>,
  ) => Promise<{ fetch(request: Request): Promise<Response> }>
}

export async function leave(ways: LeaveWays, request: Request): Promise<Response> {
  const headers = new Headers(request.headers)
  const ticket = headers.get('rimward-ticket') ?? ''
  headers.delete('rimward-ticket')
  const answer = await ways.ask(ticket)
  if (!answer.ok) throw new Error(await answer.text())
  const { outbound } = (await answer.json()) as Leave
  const leaving = new Request(request, { headers, redirect: 'manual' })
  if (outbound === undefined) return ways.out(leaving)
  const program = await ways.through(outbound.program, outbound.parameters)
  return program.fetch(leaving)
}
