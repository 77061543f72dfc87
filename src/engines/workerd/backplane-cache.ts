/**
 * The wire protocol of the runtime's own Cache API (workerd: src/workerd/api/cache.c++): GET looks up, PUT carries a
 * serialized response as its body, PURGE deletes.
 */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { ProgramCache, ProgramCachePlace } from '#/core/ports.ts'
import { headerValue, hopByHop } from '#/http/header-list.ts'
import type { BackplaneHandler } from './backplane.ts'

interface CacheDependencies {
  readonly programCache: ProgramCache
  readonly limits: Pick<Limits, 'cellHeadBytes'>
}

const empty = (status: number, headers: HeaderList = []): Answer => ({
  status,
  headers: ['content-length', '0', ...headers],
  body: null,
})

/** Handler for requests of kind `cache`; the id is the program, the URL is the key. */
export function cacheHandler({ programCache, limits }: CacheDependencies): BackplaneHandler {
  async function match(place: ProgramCachePlace, url: string, headers: HeaderList): Promise<Answer> {
    const found = await programCache.match(place, { url, headers })
    if (found === undefined) return empty(504, ['cf-cache-status', 'MISS'])
    const kept: HeaderList = []
    for (let index = 0; index < found.headers.length; index += 2)
      if (found.headers[index]!.toLowerCase() !== 'cf-cache-status')
        kept.push(found.headers[index]!, found.headers[index + 1]!)
    return { ...found, headers: [...kept, 'cf-cache-status', 'HIT'] }
  }

  async function put(place: ProgramCachePlace, url: string, body: IncomingMessage | null): Promise<Answer> {
    const answer = body === null ? undefined : await readResponse(body, limits.cellHeadBytes)
    if (answer === undefined) return empty(400)
    return empty((await programCache.put(place, url, answer)) ? 204 : 413)
  }

  return async ({ id, method, url, headers, body }) => {
    const place = { program: id, name: decodeURIComponent(headerValue(headers, 'cf-cache-namespace') ?? '') }
    if (method === 'GET') return match(place, url, headers)
    if (method === 'PUT') return put(place, url, body)
    if (method !== 'PURGE') return empty(405)
    return empty((await programCache.delete(place, url)) ? 200 : 404)
  }
}

/**
 * A response as the runtime serializes it: head, then the body's bytes as they are, also where the head says `chunked`.
 * Undefined when there is no head within `limit` bytes.
 */
export async function readResponse(source: Readable, limit: number): Promise<Answer | undefined> {
  const chunks = source.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer, undefined>
  let read: Buffer = Buffer.alloc(0)
  let end = -1
  while (end === -1) {
    const { value, done } = await chunks.next()
    if (done === true || read.length > limit) return undefined
    const from = Math.max(0, read.length - 3)
    read = Buffer.concat([read, value])
    end = read.indexOf('\r\n\r\n', from)
  }
  const head = readHead(read.toString('latin1', 0, end))
  if (head === undefined) return undefined
  const first = read.subarray(end + 4)
  async function* rest() {
    if (first.length > 0) yield first
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value
  }
  return { ...head, body: Readable.from(rest(), { objectMode: false }) }
}

function readHead(text: string): { readonly status: number; readonly headers: HeaderList } | undefined {
  const [first = '', ...lines] = text.split('\r\n')
  const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1]
  if (status === undefined) return undefined
  const headers: HeaderList = []
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon)
    if (colon < 1) return undefined
    if (!hopByHop.has(name.toLowerCase())) headers.push(name, line.slice(colon + 1).trim())
  }
  return { status: Number(status), headers }
}
