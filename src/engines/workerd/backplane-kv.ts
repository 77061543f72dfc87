/**
 * The wire protocol of the runtime's own KV binding (workerd: src/workerd/api/kv.c++), answered from `KvStores`. The
 * sentences in refusals are Cloudflare's: programs see them as `KV PUT failed: 413 …`.
 */
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { KvStores } from '#/core/ports.ts'
import type { Bytes, Clock, EpochMs } from '#/core/units.ts'
import type { BackplaneHandler, BackplaneRequest } from './backplane.ts'
import { drainBody } from './drain-body.ts'

interface KvDependencies {
  readonly kv: KvStores
  readonly clock: Clock
  readonly limits: Pick<Limits, 'workersKvKeyBytes' | 'kvValueBytes' | 'workersKvMetadataBytes' | 'kvListKeys'>
}

const bulkKeys = 100
const shortestTtl = 60
const shortestCacheTtl = 30

/** A refusal with the vendor's words. */
class KvRefusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

function plain(status: number, text = ''): Answer {
  const body = Buffer.from(text)
  return { status, statusText: text, headers: ['content-length', String(body.length)], body }
}

function json(value: unknown): Answer {
  const body = Buffer.from(JSON.stringify(value))
  return { status: 200, headers: ['content-type', 'application/json', 'content-length', String(body.length)], body }
}

/** Handler for requests of kind `kv`; the id is the store. */
export function kvHandler({ kv, clock, limits }: KvDependencies): BackplaneHandler {
  async function get(store: string, key: string, query: URLSearchParams): Promise<Answer> {
    checkCacheTtl(query.get('cache_ttl'))
    const found = await kv.get(store, key)
    if (found === undefined) return plain(404, 'Not Found')
    const headers = ['content-length', String(found.value.length)]
    if (found.metadata !== undefined) headers.push('CF-KV-Metadata', ascii(found.metadata))
    return { status: 200, headers, body: found.value }
  }

  async function put(request: BackplaneRequest, key: string, query: URLSearchParams): Promise<Answer> {
    const expiresAt = expiry(query, clock())
    const metadata = header(request.headers, 'cf-kv-metadata')
    if (metadata !== undefined) checkMetadata(metadata, limits.workersKvMetadataBytes)
    const value = await readAll(request, limits.kvValueBytes)
    await kv.put(request.id, key, {
      value,
      ...(metadata === undefined ? {} : { metadata }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
    })
    return plain(200)
  }

  async function list(store: string, query: URLSearchParams): Promise<Answer> {
    const limit = Number(query.get('key_count_limit') ?? limits.kvListKeys)
    if (!Number.isInteger(limit) || limit < 1 || limit > limits.kvListKeys)
      throw new KvRefusal(
        400,
        `Invalid key_count_limit of ${limit}. Please specify an integer between 1 and ${limits.kvListKeys}.`,
      )
    const prefix = query.get('prefix')
    if (prefix !== null) checkKey(prefix, limits.workersKvKeyBytes)
    const cursor = query.get('cursor')
    const page = await kv.list(store, { limit, ...(prefix ? { prefix } : {}), ...(cursor ? { cursor } : {}) })
    const keys = page.keys.map(({ name, metadata, expiresAt }) => ({
      name,
      ...(expiresAt === undefined ? {} : { expiration: Math.floor(expiresAt / 1000) }),
      ...(metadata === undefined ? {} : { metadata }),
    }))
    return json({
      keys,
      list_complete: page.cursor === undefined,
      ...(page.cursor === undefined ? {} : { cursor: page.cursor }),
    })
  }

  async function bulk(request: BackplaneRequest): Promise<Answer> {
    const asked = JSON.parse((await readAll(request, 1024 * 1024)).toString()) as {
      keys: string[]
      type?: string
      withMetadata?: boolean
      cacheTtl?: number | string
    }
    const { keys, type = 'text' } = asked
    if (type !== 'text' && type !== 'json')
      throw new KvRefusal(400, `"${type}" is not a valid type. Use "json" or "text"`)
    if (keys.length < 1) throw new KvRefusal(400, 'You must request a minimum of 1 key')
    if (keys.length > bulkKeys) throw new KvRefusal(400, `You can request a maximum of ${bulkKeys} keys`)
    checkCacheTtl(asked.cacheTtl === undefined ? null : String(asked.cacheTtl))
    for (const key of keys) checkKey(key, limits.workersKvKeyBytes)
    const entries: [string, unknown][] = []
    let bytes = 0
    for (const key of keys) {
      const found = await kv.get(request.id, key)
      bytes += found?.value.length ?? 0
      if (bytes > limits.kvValueBytes) throw new KvRefusal(413, 'Total size of request exceeds the limit of 25MB')
      const value = found === undefined ? null : decode(found.value, type, key)
      const metadata = found?.metadata === undefined ? null : JSON.parse(found.metadata)
      entries.push([key, asked.withMetadata === true && found !== undefined ? { value, metadata } : value])
    }
    return json(Object.fromEntries(entries))
  }

  async function answer(request: BackplaneRequest): Promise<Answer> {
    const url = new URL(request.url, 'http://kv')
    const { searchParams: query } = url
    if (request.method === 'POST' && url.pathname === '/bulk/get') return bulk(request)
    if (request.method === 'GET' && url.pathname === '/') return list(request.id, query)
    // The raw path: a key may hold `..` and other segments that the URL parser would resolve.
    const rawPath = request.url.slice(1).split('?', 1)[0]!
    const key = query.get('urlencoded') === 'true' ? decodeURIComponent(rawPath) : rawPath
    checkKey(key, limits.workersKvKeyBytes)
    if (request.method === 'GET') return get(request.id, key, query)
    if (request.method === 'PUT') return put(request, key, query)
    if (request.method !== 'DELETE') throw new KvRefusal(405, `Method ${request.method} Not Allowed`)
    await kv.delete(request.id, key)
    return plain(200)
  }

  return async (request) => {
    try {
      return await answer(request)
    } catch (thrown) {
      if (thrown instanceof KvRefusal) return plain(thrown.status, thrown.message)
      throw thrown
    }
  }
}

function checkKey(key: string, limit: number): void {
  const bytes = Buffer.byteLength(key)
  if (bytes > limit) throw new KvRefusal(414, `UTF-8 encoded length of ${bytes} exceeds key length limit of ${limit}.`)
}

function checkCacheTtl(text: string | null): void {
  if (text !== null && !(Number(text) >= shortestCacheTtl))
    throw new KvRefusal(400, `Invalid cache_ttl of ${text}. Cache TTL must be at least ${shortestCacheTtl}.`)
}

function checkMetadata(metadata: string, limit: number): void {
  const bytes = Buffer.byteLength(metadata)
  if (bytes > limit) throw new KvRefusal(413, `Metadata length of ${bytes} exceeds limit of ${limit}.`)
}

function expiry(query: URLSearchParams, now: EpochMs): EpochMs | undefined {
  const ttlText = query.get('expiration_ttl')
  const atText = query.get('expiration')
  if (ttlText !== null) {
    const ttl = Number(ttlText)
    if (!Number.isInteger(ttl) || ttl <= 0)
      throw new KvRefusal(400, `Invalid expiration_ttl of ${ttlText}. Please specify integer greater than 0.`)
    if (ttl < shortestTtl)
      throw new KvRefusal(400, `Invalid expiration_ttl of ${ttlText}. Expiration TTL must be at least ${shortestTtl}.`)
    return now + ttl * 1000
  }
  if (atText === null) return undefined
  const at = Number(atText)
  if (!Number.isInteger(at) || at <= now / 1000)
    throw new KvRefusal(
      400,
      `Invalid expiration of ${atText}. Please specify integer greater than the current number of seconds since the UNIX epoch.`,
    )
  if (at < now / 1000 + shortestTtl)
    throw new KvRefusal(
      400,
      `Invalid expiration of ${atText}. Expiration times must be at least ${shortestTtl} seconds in the future.`,
    )
  return at * 1000
}

function decode(value: Uint8Array, type: string, key: string): unknown {
  const text = Buffer.from(value).toString()
  if (type === 'text') return text
  try {
    return JSON.parse(text)
  } catch {
    throw new KvRefusal(400, `At least one of the requested keys corresponds to a non-JSON value: ${key}`)
  }
}

function header(headers: readonly string[], name: string): string | undefined {
  for (let index = 0; index < headers.length; index += 2)
    if (headers[index]!.toLowerCase() === name) return Buffer.from(headers[index + 1]!, 'latin1').toString()
  return undefined
}

/** Header values are bytes: what is not ASCII travels as JSON escapes. */
function ascii(text: string): string {
  return text.replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

async function readAll(request: BackplaneRequest, limit: Bytes): Promise<Buffer> {
  const { bytes, whole } = await drainBody(request, limit)
  if (whole === undefined) throw new KvRefusal(413, `Value length of ${bytes} exceeds limit of ${limit}.`)
  return whole
}
