/** The shared cache over the real egress and a scripted origin, in the test's own process: clock and limits are handed in. */
import type { Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import type { PurgeJournal } from '#/cache/purge-journal.ts'
import { createSharedCache } from '#/cache/shared-cache.ts'
import { createSimpleStore } from '#/cache/simple-store.ts'
import type { CacheStore } from '#/cache/store.ts'
import type { CacheWish, PurgeWish } from '#/core/cache-policy.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { EgressAnswer, SharedCache } from '#/core/ports.ts'
import { headerValue } from '#/http/header-list.ts'
import { createEgress } from '#/origin/egress.ts'
import { type Origin, startOrigin } from './delivery.ts'

export interface OpenedCache {
  readonly cache: SharedCache
  readonly store: CacheStore
  readonly origin: Origin
  /** Milliseconds by which the clock is ahead. */
  skip(ms: number): void
  fetch(path: string, options?: FetchOptions): Promise<EgressAnswer>
  /** Status, body and outcome in one line: `200 body hit`. */
  line(path: string, options?: FetchOptions): Promise<string>
  purge(what: PurgeWish['what'], options?: { readonly soft?: boolean; readonly scope?: string }): Promise<void>
}

export interface FetchOptions {
  readonly method?: string
  readonly headers?: string[]
  readonly site?: string
  readonly program?: string
  readonly host?: string
  readonly wish?: CacheWish
  readonly signal?: AbortSignal
}

/** `kept`: a store and a journal that outlive this cache. */
export async function openCache(
  t: TestContext,
  overrides: Partial<Limits> = {},
  kept: { readonly store?: CacheStore; readonly journal?: PurgeJournal; readonly origin?: Origin } = {},
): Promise<OpenedCache> {
  const limits = { ...defaultLimits, ...overrides }
  let ahead = 0
  const clock = () => Date.now() + ahead
  const origin = kept.origin ?? (await startOrigin(t))
  const next = createEgress({
    rules: { grants: () => [{ names: 'host', port: true }] },
    ownSite: () => undefined,
    limits,
    clock,
  })
  const store = kept.store ?? createSimpleStore({ limitBytes: limits.cacheMemoryBytes })
  const cache = createSharedCache({ next, store, limits, clock, ...(kept.journal && { journal: kept.journal }) })
  t.after(() => cache.close())

  const fetch: OpenedCache['fetch'] = (path, options = {}) => {
    const { method = 'GET', headers = [], site = 'shop', program, host = 'shop.localhost', wish, signal } = options
    return cache.fetch({
      by: program === undefined ? { site } : { program },
      method,
      url: `${origin.url}${path}`,
      publicUrl: `http://${host}${path}`,
      headers,
      body: null,
      wantsUpgrade: false,
      signal: signal ?? new AbortController().signal,
      ...(wish && { cache: wish }),
    })
  }
  return {
    cache,
    store,
    origin,
    skip(ms) {
      ahead += ms
    },
    fetch,
    async line(path, options) {
      const answer = await fetch(path, options)
      return `${answer.status} ${await textOf(answer)} ${answer.cacheOutcome}`
    },
    purge: (what, { soft = false, scope } = {}) => cache.purge([{ what, soft, ...(scope !== undefined && { scope }) }]),
  }
}

export async function textOf({ body }: EgressAnswer): Promise<string> {
  if (body === null) return ''
  if (body instanceof Uint8Array) return Buffer.from(body).toString()
  let text = ''
  for await (const chunk of body as Readable) text += String(chunk)
  return text
}

export function fieldOf(answer: EgressAnswer, name: string): string | undefined {
  return headerValue(answer.headers, name)
}
