/** The network, for a program of a dispatch namespace in a cell of its own; see `leave.worker.ts`. */
import { WorkerEntrypoint } from 'cloudflare:workers'
import { leave } from './leave.worker.ts'
import { type Cells, reach } from './service-forward.worker.ts'

interface Environment extends Cells {
  /** Asks for one request out. */
  readonly leave: Fetcher
  readonly network: Fetcher
}

export default class OwnLeave extends WorkerEntrypoint<Environment> {
  override fetch(request: Request): Promise<Response> {
    const { env } = this
    return leave(
      {
        ask: (ticket) => env.leave.fetch('http://leave/', { method: 'POST', body: ticket }),
        out: (leaving) => env.network.fetch(leaving),
        through: async (program, parameters) => {
          const remote = await reach(env, { program, outbound: true, props: { 'rimward-parameters': parameters } })
          if (remote === 'compute') throw new Error(`The outbound Worker ${program} is no Worker.`)
          return remote as unknown as { fetch(leaving: Request): Promise<Response> }
        },
      },
      request,
    )
  }
}
