/** Passes requests and RPC calls to a program of the dispatch namespace in `props`, in whichever cell it runs. */
import { WorkerEntrypoint } from 'cloudflare:workers'
import type { Call } from './dispatch.worker.ts'
import { type Cells, connect, findPlace, type Place, type Remote, reserved } from './service-forward.worker.ts'

interface Environment extends Cells {
  /** Asks for files of a program. */
  readonly files: Fetcher
}

interface Namespace {
  /** Its id. */
  readonly namespace: string
  /** The outbound Worker. */
  readonly outbound?: string
}

export default class DispatchForward extends WorkerEntrypoint<Environment, Namespace> {
  override async fetch(request: Request): Promise<Response> {
    const headers = new Headers(request.headers)
    const call = JSON.parse(decodeURIComponent(headers.get('rimward-dispatch') ?? '')) as Call
    headers.delete('rimward-dispatch')
    const asked = new Request(request, { headers })
    const place = await this.#place(call)
    if (place.files === undefined) return this.#ask(call, place, (remote) => remote.fetch!(asked)) as Promise<Response>
    return this.#file(call, place, asked)
  }

  async invoke(call: Call, method: string, parameters: unknown[]): Promise<unknown> {
    if (method === 'fetch' || reserved.has(method)) throw new TypeError(`${method}() is no method of a Worker.`)
    const place = await this.#place(call)
    if (place.files === 'only') throw new TypeError(`This Worker has files and no ${method}().`)
    return this.#ask(call, place, (remote) => remote[method]!(...parameters))
  }

  async #ask(call: Call, place: Place, run: (remote: Remote) => unknown): Promise<unknown> {
    const remote = await connect(this.env, place)
    try {
      return await run(remote)
    } catch (error) {
      const why = call.cpuMs === undefined ? null : await this.#whyEnded(call)
      throw why === null ? error : new Error(why)
    }
  }

  /** Its files where one answers, else the program. */
  async #file(call: Call, place: Place, request: Request): Promise<Response> {
    const headers = new Headers(request.headers)
    headers.delete('content-length')
    headers.set('rimward-id', this.#target(call).program)
    const { url, method } = request
    const answer = await this.env.files.fetch(url, { method, headers, redirect: 'manual' })
    if (!answer.headers.has('rimward-no-file')) return answer
    return this.#ask(call, place, (remote) => remote.fetch!(request)) as Promise<Response>
  }

  async #place(call: Call): Promise<Place> {
    const refused = (status: number, why: string) => new Error(status === 404 ? 'Worker not found.' : why)
    const place = await findPlace(this.env, this.#target(call), refused)
    if (place.compute === true) throw new Error('Worker not found.')
    return place
  }

  #target({ name, parameters, ...limits }: Call, more: object = {}) {
    const { namespace, outbound } = this.ctx.props
    const through = outbound === undefined ? {} : { outbound: { program: outbound, parameters: parameters ?? {} } }
    return { program: `${namespace}.${name}`, dispatched: { ...limits, ...through, ...more } }
  }

  /** Null: not because of its limits. */
  async #whyEnded(call: Call): Promise<string | null> {
    const body = JSON.stringify(this.#target(call, { ended: true }))
    const answer = await this.env.reach.fetch('http://reach/', { method: 'POST', body })
    return answer.ok ? ((await answer.json()) as { why: string | null }).why : null
  }
}
