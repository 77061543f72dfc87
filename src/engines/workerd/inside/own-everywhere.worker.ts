/** `env.EVERYWHERE` in cells of their own and in the group. */
import { WorkerEntrypoint } from 'cloudflare:workers'
import { type EverywhereTarget, type EverywhereWays, listPops, mapEverywhere } from './everywhere.worker.ts'

interface Environment {
  readonly reach: Fetcher
  readonly cells: { connect: EverywhereWays['connect'] }
}

export default class Everywhere extends WorkerEntrypoint<Environment, EverywhereTarget> {
  map(method: string, parameters?: unknown[], options?: object) {
    return mapEverywhere(this.#ways(), this.ctx.props, method, parameters, options)
  }

  pops(options?: object) {
    return listPops(this.#ways(), this.ctx.props, options)
  }

  #ways(): EverywhereWays {
    const { reach, cells } = this.env
    return {
      ask: (body) => reach.fetch('http://reach/', { method: 'POST', body: JSON.stringify(body) }),
      connect: (address) => cells.connect(address),
    }
  }
}
