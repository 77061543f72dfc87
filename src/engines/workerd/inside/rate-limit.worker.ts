/** Wraps a rate limit binding (developers.cloudflare.com/workers/runtime-apis/bindings/rate-limit): `limit({ key })`. */

interface Inner {
  readonly wire: Fetcher
  readonly defaults: { readonly limit: number; readonly period: number }
}

const known = new Set(['key', 'limit', 'period'])
const periods = [10, 60]

function require(holds: boolean, message: string): void {
  if (!holds) throw new Error(message)
}

class RateLimit {
  readonly #inner: Inner

  constructor(inner: Inner) {
    this.#inner = inner
  }

  async limit(options: unknown): Promise<{ success: boolean }> {
    require(typeof options === 'object' && options !== null, 'invalid rate limit options')
    const unknown = Object.keys(options as object).filter((name) => !known.has(name))
    require(unknown.length === 0, `bad rate limit options: [${unknown.join(',')}]`)
    const { key = '', limit, period } = { ...this.#inner.defaults, ...(options as Record<string, unknown>) }
    require(typeof key === 'string', `invalid key: ${key}`)
    require(typeof limit === 'number', `limit must be a number: ${limit}`)
    require(typeof period === 'number', `period must be a number: ${period}`)
    require(periods.includes(period as number), `unsupported period: ${period}`)
    const body = JSON.stringify({ key, limit, period })
    const response = await this.#inner.wire.fetch('http://rate-limit/', { method: 'POST', body })
    if (!response.ok) throw new Error(await response.text())
    return response.json()
  }
}

export default function wrap(inner: Inner): RateLimit {
  return new RateLimit(inner)
}
