/** Passes requests and RPC calls to a program of the dispatch namespace in `props`, in whichever cell it runs. */
import { WorkerEntrypoint } from 'cloudflare:workers'
import { type Cells, type Remote, reach, reserved } from './service-forward.worker.ts'

interface Namespace {
  /** Its id. */
  readonly namespace: string
}

export default class DispatchForward extends WorkerEntrypoint<Cells, Namespace> {
  override async fetch(request: Request): Promise<Response> {
    const headers = new Headers(request.headers)
    const name = decodeURIComponent(headers.get('rimward-dispatch') ?? '')
    headers.delete('rimward-dispatch')
    const remote = await this.#remote(name)
    return remote.fetch!(new Request(request, { headers })) as Promise<Response>
  }

  async invoke(name: string, method: string, parameters: unknown[]): Promise<unknown> {
    if (method === 'fetch' || reserved.has(method)) throw new TypeError(`${method}() is no method of a Worker.`)
    return (await this.#remote(name))[method]!(...parameters)
  }

  async #remote(name: string): Promise<Remote> {
    const { namespace } = this.ctx.props
    const refused = (status: number, why: string) => new Error(status === 404 ? 'Worker not found.' : why)
    const remote = await reach(this.env, { program: `${namespace}.${name}` }, refused)
    if (remote === 'compute') throw new Error('Worker not found.')
    return remote
  }
}
