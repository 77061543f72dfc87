/**
 * Runs first in every program of a shared cell and gives bindings the shape that Workers expect: the loader can only
 * hand over fetchers. `kv.worker.ts` speaks the wire protocol of the runtime's own KV binding.
 */
import { env } from 'cloudflare:workers'

const wrapped = 'RIMWARD_WRAPPED' as unknown as Record<string, 'kv'>
const holder = env as unknown as Record<string, Fetcher>

type Type = 'text' | 'json' | 'arrayBuffer' | 'stream'
type GetOptions = Type | { type?: Type; cacheTtl?: number } | undefined

function checkKey(verb: string, key: string): void {
  if (key === '') throw new TypeError('Key name cannot be empty.')
  if (key === '.' || key === '..') throw new TypeError(`"${key}" is not allowed as a key name.`)
  const bytes = new TextEncoder().encode(key).length
  if (bytes > 512)
    throw new Error(`KV ${verb} failed: 414 UTF-8 encoded length of ${bytes} exceeds key length limit of 512.`)
}

async function checkStatus(verb: string, response: Response): Promise<void> {
  if (!response.ok) throw new Error(`KV ${verb} failed: ${response.status} ${await response.text()}`)
}

function path(key: string, query: Record<string, unknown> = {}): string {
  const params = new URLSearchParams({ urlencoded: 'true' })
  for (const [name, value] of Object.entries(query)) if (value !== undefined) params.set(name, String(value))
  return `https://kv/${encodeURIComponent(key)}?${params}`
}

async function decode(response: Response, type: string): Promise<unknown> {
  switch (type) {
    case 'text':
      return response.text()
    case 'json':
      return response.json()
    case 'arrayBuffer':
      return response.arrayBuffer()
    case 'stream':
      return response.body
    default:
      throw new TypeError('Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".')
  }
}

class KvNamespace {
  readonly #wire: Fetcher

  constructor(wire: Fetcher) {
    this.#wire = wire
  }

  async get(key: string | string[], options?: GetOptions): Promise<unknown> {
    if (Array.isArray(key)) return this.#bulk(key, options, false)
    return (await this.#one(key, options)).value
  }

  async getWithMetadata(key: string | string[], options?: GetOptions): Promise<unknown> {
    return Array.isArray(key) ? this.#bulk(key, options, true) : this.#one(key, options)
  }

  async #one(key: string, options: GetOptions) {
    const name = String(key)
    checkKey('GET', name)
    const { type = 'text', cacheTtl } = typeof options === 'string' ? { type: options } : (options ?? {})
    const response = await this.#wire.fetch(path(name, { cache_ttl: cacheTtl }))
    if (response.status === 404 || response.status === 410) {
      await response.body?.cancel()
      return { value: null, metadata: null, cacheStatus: null }
    }
    await checkStatus('GET', response)
    const metadata = response.headers.get('cf-kv-metadata')
    const value = await decode(response, type)
    return { value, metadata: metadata === null ? null : JSON.parse(metadata), cacheStatus: null }
  }

  async #bulk(keys: string[], options: GetOptions, withMetadata: boolean): Promise<Map<string, unknown>> {
    const { type, cacheTtl } = typeof options === 'string' ? { type: options } : (options ?? {})
    const body = JSON.stringify({ keys, type, withMetadata, cacheTtl })
    const response = await this.#wire.fetch('https://kv/bulk/get', { method: 'POST', body })
    await checkStatus('GET_BULK', response)
    return new Map(Object.entries((await response.json()) as Record<string, unknown>))
  }

  async put(key: string, value: unknown, options: KVNamespacePutOptions = {}): Promise<void> {
    const name = String(key)
    checkKey('PUT', name)
    const isBytes = value instanceof ArrayBuffer || ArrayBuffer.isView(value) || value instanceof ReadableStream
    if (typeof value === 'object' && !isBytes)
      throw new TypeError(
        'KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values.',
      )
    const body = isBytes ? (value as BodyInit) : String(value)
    const headers = new Headers()
    if (options.metadata != null) headers.set('cf-kv-metadata', escapeJson(options.metadata))
    const { expiration, expirationTtl } = options
    const url = path(name, { expiration, expiration_ttl: expirationTtl })
    const response = await this.#wire.fetch(url, { method: 'PUT', body, headers })
    await checkStatus('PUT', response)
  }

  async delete(key: string): Promise<void> {
    const name = String(key)
    checkKey('DELETE', name)
    await checkStatus('DELETE', await this.#wire.fetch(path(name), { method: 'DELETE' }))
  }

  async list(options: KVNamespaceListOptions = {}): Promise<unknown> {
    const params = new URLSearchParams()
    if (options.limit != null && options.limit > 0) params.set('key_count_limit', String(options.limit))
    if (options.prefix != null) params.set('prefix', options.prefix)
    if (options.cursor != null) params.set('cursor', options.cursor)
    const response = await this.#wire.fetch(`https://kv/?${params}`)
    await checkStatus('GET', response)
    const page = (await response.json()) as { keys: { metadata?: unknown }[] }
    for (const key of page.keys) if (typeof key.metadata === 'string') key.metadata = JSON.parse(key.metadata)
    return { ...page, cacheStatus: null }
  }
}

/** Header values are bytes: what is not ASCII travels as JSON escapes. */
function escapeJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

for (const name of Object.keys(wrapped)) (holder as Record<string, unknown>)[name] = new KvNamespace(holder[name]!)

/** What the host answers for `caches`; see its `Cache`. */
interface CacheWire {
  match(name: string | null, asked: object, options?: CacheQueryOptions): Promise<Response | undefined>
  put(name: string | null, asked: object, response: Response): Promise<void>
  delete(name: string | null, asked: object, options?: CacheQueryOptions): Promise<boolean>
}

const cacheName = 'rimward:cache'
/** Absent where the program does not use `caches`. */
const cacheWire = holder[cacheName] as unknown as CacheWire
delete holder[cacheName]

function asked(request: RequestInfo | URL): object {
  const { url, method, headers } = request instanceof Request ? request : new Request(request)
  return { url, method, headers: [...headers] }
}

class ProgramCache {
  readonly #name: string | null

  constructor(name: string | null) {
    this.#name = name
  }

  async match(request: RequestInfo | URL, options?: CacheQueryOptions): Promise<Response | undefined> {
    return cacheWire.match(this.#name, asked(request), options)
  }

  async put(request: RequestInfo | URL, response: Response): Promise<void> {
    await cacheWire.put(this.#name, asked(request), response)
  }

  async delete(request: RequestInfo | URL, options?: CacheQueryOptions): Promise<boolean> {
    return cacheWire.delete(this.#name, asked(request), options)
  }
}

const programCaches = {
  default: new ProgramCache(null),
  async open(name: string): Promise<ProgramCache> {
    const text = String(name)
    if (new TextEncoder().encode(text).length >= 1024) throw new TypeError('Cache name is too long.')
    return new ProgramCache(text)
  },
}
if (cacheWire !== undefined)
  Object.defineProperty(globalThis, 'caches', { value: programCaches, configurable: true, writable: true })
