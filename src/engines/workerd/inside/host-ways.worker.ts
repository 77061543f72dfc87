/**
 * The ways out of a program in a shared cell: to the network, caches, stores, files and its traces. The host hands them to
 * programs, so that no program holds a way to Node itself.
 */
import { WorkerEntrypoint } from 'cloudflare:workers'

interface OtherCell {
  getEntrypoint(service: string, entrypoint?: string, props?: Record<string, unknown>): Fetcher
}

export interface HostEnv {
  readonly LOADER: WorkerLoader
  /** Requests about the platform itself: code, stores, assets, traces. */
  readonly BACKPLANE: Fetcher
  /** The same socket in proxy form: the request line holds the whole URL. */
  readonly EGRESS: Fetcher
  readonly PRELUDE: string
  readonly FRONT: string
  readonly DISPATCHED: string
  readonly OUTBOUND: string
  /** The way to services of other cells. */
  readonly CELLS: { connect(address: string): Promise<OtherCell> }
}

/** One request to the backplane. */
export function ask(
  env: HostEnv,
  kind: string,
  id: string,
  init: RequestInit & { path?: string; host?: string } = {},
): Promise<Response> {
  const headers = new Headers(init.headers)
  headers.set('rimward-kind', kind)
  headers.set('rimward-id', id)
  return env.BACKPLANE.fetch(`http://${init.host ?? 'backplane'}${init.path ?? '/'}`, {
    ...init,
    headers,
    redirect: 'manual',
  })
}

/** What a program's `fetch()` goes to. */
export function egress(env: HostEnv, program: string, request: Request): Promise<Response> {
  const headers = new Headers(request.headers)
  headers.set('rimward-kind', 'egress')
  headers.set('rimward-id', program)
  return env.EGRESS.fetch(new Request(request, { headers, redirect: 'manual' }))
}

export class Egress extends WorkerEntrypoint<HostEnv, { program: string }> {
  override fetch(request: Request): Promise<Response> {
    return egress(this.env, this.ctx.props.program, request)
  }
}

/**
 * The Cache API for programs, which the loader gives none: calls come over RPC, because only there a `Response` arrives
 * with the coding of its body, and go on through this worker's own `caches`, which speaks the runtime's protocol.
 */
export class Cache extends WorkerEntrypoint<HostEnv, { program: string }> {
  /** `asked`: URL, method and fields. */
  async match(name: string | null, asked: Asked, options?: CacheQueryOptions): Promise<Response | undefined> {
    return (await this.#open(name)).match(this.#request(asked), options)
  }

  async put(name: string | null, asked: Asked, response: Response): Promise<void> {
    await (await this.#open(name)).put(this.#request(asked), response)
  }

  async delete(name: string | null, asked: Asked, options?: CacheQueryOptions): Promise<boolean> {
    return (await this.#open(name)).delete(this.#request(asked), options)
  }

  async #open(name: string | null) {
    return name === null ? caches.default : caches.open(name)
  }

  #request({ url, method, headers }: Asked): Request {
    const own = new Headers(headers)
    own.delete('cf-cache-namespace')
    own.set('rimward-kind', 'cache')
    own.set('rimward-id', this.ctx.props.program)
    return new Request(url, { method, headers: own })
  }
}

/** `ctx.cache.purge()` of a program with a cache in front of it. */
export class Purge extends WorkerEntrypoint<HostEnv, { program: string }> {
  override async fetch(request: Request): Promise<Response> {
    return ask(this.env, 'purge', this.ctx.props.program, { method: 'POST', body: await request.text() })
  }
}

interface Asked {
  readonly url: string
  readonly method: string
  readonly headers: [string, string][]
}

export class Kv extends WorkerEntrypoint<HostEnv, { store: string }> {
  override fetch(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url)
    const { method, headers, body } = request
    return ask(this.env, 'kv', this.ctx.props.store, { method, headers, body, path: pathname + search })
  }
}

export class Assets extends WorkerEntrypoint<HostEnv, { deployment: string }> {
  override fetch(request: Request): Promise<Response> {
    const { host, pathname, search } = new URL(request.url)
    const { method, headers } = request
    return ask(this.env, 'assets', this.ctx.props.deployment, { method, headers, host, path: pathname + search })
  }
}

export class Tail extends WorkerEntrypoint<HostEnv, { deployment: string }> {
  override async tail(events: TraceItem[]): Promise<void> {
    const told = events.filter(({ entrypoint }) => entrypoint !== 'RimwardControl')
    if (told.length === 0) return
    await ask(this.env, 'trace', this.ctx.props.deployment, { method: 'POST', body: JSON.stringify(told) })
  }
}
