/**
 * Workers' Cache API (developers.cloudflare.com/workers/runtime-apis/cache) over the store of the shared cache.
 */
import type { CachePolicy } from '#/core/cache-policy.ts'
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { ProgramCache, ProgramCachePlace } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import { headerValue } from '#/http/header-list.ts'
import { answerStored } from './answer-stored.ts'
import { type Ask, readAsk } from './ask.ts'
import type { Arriving } from './flight.ts'
import { ageOf, policyOf } from './may-reuse.ts'
import { mayStore, type Storing } from './may-store.ts'
import type { Purges } from './purges.ts'
import type { BodyWriter, CacheStore, StoredAnswer, StoredHead } from './store.ts'
import { tagsOf } from './stored-fields.ts'

export interface ProgramCacheOptions {
  readonly store: CacheStore
  readonly purges: Purges
  /** Answers on their way in, so that a purge reaches them too. */
  readonly arriving: Set<Arriving>
  readonly limits: Pick<Limits, 'cacheTags' | 'cacheObjectBytes'>
  readonly clock: Clock
}

/** How long an answer is kept that does not say: developers.cloudflare.com/cache/how-to/configure-cache-status-code. */
const policy: CachePolicy = {
  ttlByStatus: [
    { from: 200, to: 205, ttl: 7_200 },
    { from: 301, to: 301, ttl: 7_200 },
    { from: 302, to: 303, ttl: 1_200 },
    { from: 404, to: 404, ttl: 180 },
    { from: 410, to: 410, ttl: 180 },
  ],
}

export function createProgramCache(options: ProgramCacheOptions): ProgramCache {
  const { store, purges, arriving, limits, clock } = options

  async function find(ask: Ask): Promise<StoredAnswer | undefined> {
    const now = clock()
    const known = await store.find(ask.key)
    return known.find((stored) => isFresh(stored.head, now) && purges.of(stored.head) === undefined)
  }

  async function keep(ask: Ask, answer: Answer, storing: Extract<Storing, { store: true }>): Promise<boolean> {
    const field = headerValue(answer.headers, 'content-length')
    const declared = field !== undefined && /^\d{1,15}$/.test(field) ? Number(field) : undefined
    if ((declared ?? 0) > limits.cacheObjectBytes) return false
    const now = clock()
    const head: StoredHead = {
      key: ask.key,
      variant: '',
      vary: [],
      url: ask.url,
      status: answer.status,
      headers: storing.headers,
      tags: tagsOf(answer.headers, [], { count: limits.cacheTags }),
      scope: ask.scope,
      requestedAt: now,
      receivedAt: now,
      sequence: purges.sequence,
      policy: storing.policy as unknown as Record<string, unknown>,
    }
    const writer = store.open(head, declared)
    if (writer === undefined) return false
    const entering = enter(head)
    try {
      if (!(await writeAll(writer, answer.body, { declared, limit: limits.cacheObjectBytes }))) return false
      const stored = entering.doomed ? undefined : await writer.finish()
      if (stored !== undefined && entering.doomed) store.remove(stored)
      return stored !== undefined && !entering.doomed
    } catch (error) {
      writer.abort()
      throw error
    } finally {
      arriving.delete(entering)
    }
  }

  function enter({ key, sequence }: StoredHead): Arriving {
    const one = {
      key,
      sequence,
      doomed: false,
      doom() {
        one.doomed = true
      },
    }
    arriving.add(one)
    return one
  }

  return {
    async match(place, request) {
      const ask = askOf(place, request.url, request.headers)
      const stored = await find(ask)
      return stored === undefined ? undefined : answerStored(stored, ask, clock(), { outcome: 'hit' })
    },
    async put(place, url, answer) {
      const ask = askOf(place, url, [])
      const now = clock()
      const { status, headers } = answer
      const storing = status === 206 ? undefined : mayStore({ status, headers, requestedAt: now, receivedAt: now }, ask)
      const kept = storing?.store === true && storing.policy.lifetimeMs > 0 && !storing.policy.validateAlways
      if (kept) return keep(ask, answer, storing)
      await drain(answer.body)
      return false
    },
    async delete(place, url) {
      const ask = askOf(place, url, [])
      const found = await find(ask)
      for (const stored of await store.find(ask.key)) store.remove(stored)
      return found !== undefined
    },
  }
}

/** No entry of the shared cache has such a key, and a name cannot reach into another: no URL and no name has a newline. */
function askOf({ program, name }: ProgramCachePlace, url: string, headers: Ask['headers']): Ask {
  const by = { program }
  const ask = readAsk({ by, method: 'GET', url, headers, cache: { policy } })
  return { ...ask, key: `c ${program}\n${encodeURIComponent(name)}\n${ask.url}`, hasAuthorization: false }
}

function isFresh(head: StoredHead, now: number): boolean {
  const { lifetimeMs, staleSince } = policyOf(head)
  return staleSince === undefined && ageOf(head, now) < lifetimeMs
}

/** False when the store gave up, or the body is longer than is kept. Throws when it is not as long as was declared. */
async function writeAll(
  writer: BodyWriter,
  body: Answer['body'],
  { declared, limit }: { readonly declared: number | undefined; readonly limit: number },
): Promise<boolean> {
  let bytes = 0
  let kept = true
  for await (const chunk of body === null ? [] : body instanceof Uint8Array ? [body] : body) {
    bytes += chunk.length
    kept &&= bytes <= limit && (await writer.write(chunk as Uint8Array))
  }
  if (declared !== undefined && bytes !== declared) throw new Error('The body is not as long as its Content-Length.')
  if (!kept) writer.abort()
  return kept
}

/** The sender hears what became of its answer only after it has sent all. */
async function drain(body: Answer['body']): Promise<void> {
  if (body === null || body instanceof Uint8Array) return
  for await (const _ of body);
}
