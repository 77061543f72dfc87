/** Wraps a Secrets Store binding (developers.cloudflare.com/secrets-store/integrations/workers): `await env.KEY.get()`. */

interface Inner {
  readonly wire: Fetcher
}

class StoredSecret {
  readonly #wire: Fetcher

  constructor({ wire }: Inner) {
    this.#wire = wire
  }

  async get(): Promise<string> {
    const response = await this.#wire.fetch('http://secret/')
    const text = await response.text()
    if (!response.ok) throw new Error(text)
    return text
  }
}

export default function wrap(inner: Inner): StoredSecret {
  return new StoredSecret(inner)
}
