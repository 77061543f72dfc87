/**
 * Wraps a dispatch namespace (developers.cloudflare.com/cloudflare-for-platforms/workers-for-platforms): `get(name)` gives
 * what asks the program of that name.
 */

interface Inner {
  readonly forward: Fetcher & { invoke(call: Call, method: string, parameters: unknown[]): unknown }
  /** Names of what the outbound Worker may be told; null: there is no such Worker. */
  readonly parameters: readonly string[] | null
}

/** What one `get()` asked for. */
export interface Call {
  readonly name: string
  readonly cpuMs?: number
  readonly subRequests?: number
  readonly parameters?: Record<string, unknown>
}

/** Nothing asks the other program for these: the language and the runtime look for them in any object. */
const reserved = new Set(['alarm', 'connect', 'self', 'tail', 'tailStream', 'test', 'then', 'toJSON', 'trace'])

class DispatchNamespace {
  readonly #inner: Inner

  constructor(inner: Inner) {
    this.#inner = inner
  }

  get(name: string, given: object = {}, options: object = {}): object {
    if (typeof name !== 'string') throw new TypeError('get() of a dispatch namespace takes the name of a Worker.')
    known(given ?? {}, [], '')
    const { limits = {}, outbound } = known(options ?? {}, ['limits', 'outbound'], '') as Record<string, object>
    const { cpuMs, subRequests } = known(limits, ['cpuMs', 'subRequests'], 'limits.') as Record<string, unknown>
    const call = {
      name,
      ...(cpuMs !== undefined && { cpuMs: amount('cpuMs', cpuMs, 1) }),
      ...(subRequests !== undefined && { subRequests: amount('subRequests', subRequests, 0) }),
      ...(outbound !== undefined && { parameters: this.#told(outbound) }),
    }
    return remote(this.#inner, call)
  }

  #told(outbound: object): Record<string, unknown> {
    const { parameters } = this.#inner
    if (parameters === null)
      throw new Error("get() of a dispatch namespace: the binding has no outbound Worker for 'outbound'.")
    for (const key of Object.keys(outbound))
      if (!parameters.includes(key))
        throw new Error(`get() of a dispatch namespace: '${key}' is not among the parameters of the outbound Worker.`)
    return outbound as Record<string, unknown>
  }
}

/** The same object; anything but these keys is refused by name. */
function known(given: object, keys: readonly string[], path: string): object {
  for (const [key, value] of Object.entries(given))
    if (value !== undefined && !keys.includes(key))
      throw new Error(`get() of a dispatch namespace: Rimward does not support '${path}${key}'.`)
  return given
}

function amount(name: string, value: unknown, least: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least) return value
  throw new TypeError(`get() of a dispatch namespace: 'limits.${name}' is a whole number of at least ${least}.`)
}

function remote({ forward }: Inner, call: Call): object {
  async function fetch(input: RequestInfo, init?: RequestInit): Promise<Response> {
    const asked = new Request(input, init)
    const headers = new Headers(asked.headers)
    headers.set('rimward-dispatch', encodeURIComponent(JSON.stringify(call)))
    return forward.fetch(new Request(asked, { headers }))
  }
  return new Proxy(Object.freeze({ fetch }), {
    get(own, key) {
      if (key === 'fetch') return fetch
      if (typeof key !== 'string' || reserved.has(key)) return Reflect.get(own, key)
      return (...parameters: unknown[]) => forward.invoke(call, key, parameters)
    },
  })
}

export default function wrap(inner: Inner): DispatchNamespace {
  return new DispatchNamespace(inner)
}
