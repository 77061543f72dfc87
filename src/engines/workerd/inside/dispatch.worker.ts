/**
 * Wraps a dispatch namespace (developers.cloudflare.com/cloudflare-for-platforms/workers-for-platforms): `get(name)` gives
 * what asks the program of that name.
 */

interface Inner {
  readonly forward: Fetcher & { invoke(name: string, method: string, parameters: unknown[]): unknown }
}

/** Nothing asks the other program for these: the language and the runtime look for them in any object. */
const reserved = new Set(['alarm', 'connect', 'self', 'tail', 'tailStream', 'test', 'then', 'toJSON', 'trace'])

class DispatchNamespace {
  readonly #inner: Inner

  constructor(inner: Inner) {
    this.#inner = inner
  }

  get(name: string, parameters: object = {}, options: object = {}): object {
    if (typeof name !== 'string') throw new TypeError('get() of a dispatch namespace takes the name of a Worker.')
    for (const given of [parameters, options])
      for (const [key, value] of Object.entries(given ?? {}))
        if (value !== undefined) throw new Error(`get() of a dispatch namespace: Rimward does not support '${key}'.`)
    return remote(this.#inner, name)
  }
}

function remote({ forward }: Inner, name: string): object {
  async function fetch(input: RequestInfo, init?: RequestInit): Promise<Response> {
    const asked = new Request(input, init)
    const headers = new Headers(asked.headers)
    headers.set('rimward-dispatch', encodeURIComponent(name))
    return forward.fetch(new Request(asked, { headers }))
  }
  return new Proxy(Object.freeze({ fetch }), {
    get(own, key) {
      if (key === 'fetch') return fetch
      if (typeof key !== 'string' || reserved.has(key)) return Reflect.get(own, key)
      return (...parameters: unknown[]) => forward.invoke(name, key, parameters)
    },
  })
}

export default function wrap(inner: Inner): DispatchNamespace {
  return new DispatchNamespace(inner)
}
