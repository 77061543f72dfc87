/** The cache that programs fill themselves (`core/core-cache.ts`), over the store and the purges of the shared cache. */
import type { Readable } from 'node:stream'
import type { CacheWish } from '#/core/cache-policy.ts'
import type {
  CoreCache,
  CoreCacheAdvice,
  CoreCacheKey,
  CoreCacheLookup,
  CoreCacheObject,
  CoreCacheTurn,
  CoreCacheWrite,
} from '#/core/core-cache.ts'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'
import { headerValue, headerValues } from '#/http/header-list.ts'
import { readAsk } from './ask.ts'
import { arrivingObject, type Candidate, headOf, stateOf, storedObject } from './core-object.ts'
import { createFanOut } from './fan-out.ts'
import type { Arriving } from './flight.ts'
import { ageOf, policyOf } from './may-reuse.ts'
import { mayStore } from './may-store.ts'
import type { Purges } from './purges.ts'
import type { CacheStore, StoredAnswer, StoredHead } from './store.ts'
import { tagsOf, updatedFields } from './stored-fields.ts'
import { createTurns, type OpenTurn } from './turns.ts'

export interface CoreCacheOptions {
  readonly store: CacheStore
  readonly purges: Purges
  readonly arriving: Set<Arriving>
  readonly limits: Limits
  readonly clock: Clock
}

export function createCoreCache(options: CoreCacheOptions): CoreCache {
  const { store, purges, limits, clock } = options
  /** Objects whose bodies still arrive, by primary key. */
  const coming = new Map<string, Candidate[]>()
  const turns = createTurns({ clock, limit: limits.cacheSoloKeys })
  const uses = new WeakMap<StoredHead, number>()

  function use(candidate: Candidate): CoreCacheObject {
    const hits = (uses.get(candidate.head) ?? 0) + 1
    uses.set(candidate.head, hits)
    return candidate.kind === 'stored'
      ? storedObject(candidate.stored, stateOf(candidate.head, purges, clock()), ageOf(candidate.head, clock()), hits)
      : arrivingObject(candidate, stateOf(candidate.head, purges, clock()), ageOf(candidate.head, clock()), hits)
  }

  /** All that was not purged hard; of those that the request selects, the youngest. */
  async function look(place: string, headers: HeaderList) {
    // Both before and after the store was asked: one may arrive in between.
    const before = coming.get(place) ?? []
    const kept = await Promise.resolve(store.find(place)).catch(() => [] as readonly StoredAnswer[])
    const stored = kept.map((one): Candidate => ({ kind: 'stored', head: one.head, stored: one }))
    let best: Candidate | undefined
    let vary: readonly string[] = []
    let newest = Number.NEGATIVE_INFINITY
    for (const candidate of new Set([...stored, ...before, ...(coming.get(place) ?? [])])) {
      const { head } = candidate
      if (purges.of(head)?.hard === true) {
        if (candidate.kind === 'stored') store.remove(candidate.stored)
        continue
      }
      if (head.receivedAt >= newest) {
        newest = head.receivedAt
        vary = head.vary
      }
      if (exactSelection(head.vary, headers) !== policyOf(head).selects) continue
      if (best === undefined || ageOf(head, clock()) <= ageOf(best.head, clock())) best = candidate
    }
    return { best, vary }
  }

  function write(key: CoreCacheKey, written: CoreCacheWrite, body: Readable): Extract<Candidate, { kind: 'arriving' }> {
    const place = placeOf(key)
    const head = headOf(key, place, written, {
      selects: exactSelection(written.vary, key.headers),
      sequence: purges.sequence,
      now: clock(),
    })
    const fits = (written.length ?? 0) <= limits.cacheObjectBytes
    const entering: Arriving & { doomed: boolean } = {
      key: place,
      sequence: head.sequence,
      doomed: false,
      doom() {
        entering.doomed = true
        fan.dropWriter()
      },
    }
    const fan = createFanOut({
      source: body,
      writer: fits ? store.open(head, written.length) : undefined,
      keepBytes: limits.cacheFollowBytes,
      storeBytes: limits.cacheObjectBytes,
      declared: written.length,
      unread: false,
      mayFinish: () => !entering.doomed && purges.of(head)?.hard !== true,
      onDeserted: () => 'go-on',
    })
    const candidate = { kind: 'arriving', head, fan, written } as const
    const others = coming.get(place)?.filter((one) => one.head.variant !== head.variant) ?? []
    coming.set(place, [...others, candidate])
    options.arriving.add(entering)
    void fan.done.then((kept) => {
      options.arriving.delete(entering)
      if (kept !== undefined && entering.doomed) store.remove(kept)
      const rest = coming.get(place)?.filter((one) => one !== candidate) ?? []
      if (rest.length === 0) coming.delete(place)
      else coming.set(place, rest)
    })
    return candidate
  }

  function turnOf(key: CoreCacheKey, open: Pick<OpenTurn, 'end'>, stale: Candidate | undefined): CoreCacheTurn {
    return {
      insert(written, body, back) {
        const candidate = write(key, written, body)
        // Before anybody else: the first bytes are there for this one in any case.
        const first = back ? candidate.fan.follow() : undefined
        open.end({ kind: 'look-again' })
        return first && arrivingObject({ ...candidate, first }, 'fresh', written.initialAgeMs, 0)
      },
      async update(written) {
        const kept = stale && (await storedOf(stale))
        const head = kept && updatedHead(key, kept, written)
        const fresh = kept && head && (await store.refresh(kept, head))
        open.end({ kind: 'look-again' })
        return fresh && use({ kind: 'stored', head: fresh.head, stored: fresh })
      },
      useStale: () => open.end(stale === undefined ? { kind: 'look-again' } : { kind: 'stale', stale }),
      notCacheable: (ms) => open.end({ kind: 'pass', ms }),
      cancel: () => open.end({ kind: 'look-again' }),
    }
  }

  function updatedHead(key: CoreCacheKey, { head, bodyBytes }: StoredAnswer, written: CoreCacheWrite): StoredHead {
    const made = headOf(
      key,
      head.key,
      { ...written, length: bodyBytes },
      {
        selects: exactSelection(written.vary, key.headers),
        sequence: purges.sequence,
        now: clock(),
      },
    )
    return { ...made, variant: head.variant }
  }

  async function take(key: CoreCacheKey, signal: AbortSignal): Promise<CoreCacheLookup> {
    const place = placeOf(key)
    for (;;) {
      if (signal.aborted) throw gone()
      const { best, vary } = await look(place, key.headers)
      const state = best && stateOf(best.head, purges, clock())
      const readable = best !== undefined && (best.kind === 'stored' || best.fan.joinable)
      if (best !== undefined && readable && state === 'fresh') return { found: use(best) }
      const name = `${place}\n${exactSelection(vary, key.headers)}`
      // Whoever brings it all the same ends the passing: it is found then.
      if (turns.passes(name)) return { turn: turnOf(key, turns.beside(name), best) }
      const ahead = turns.find(name)
      if (best !== undefined && readable && state === 'while-revalidating') {
        const open = ahead === undefined ? turns.open(name) : undefined
        return { found: use(best), ...(open && { turn: turnOf(key, open, best) }) }
      }
      if (ahead === undefined && best?.kind === 'arriving' && state === 'fresh') {
        // It comes, but its beginning is gone: it can be read when all of it is there.
        await orAborted(best.fan.done, signal)
        continue
      }
      if (ahead === undefined) return { ...(best && { found: use(best) }), turn: turnOf(key, turns.open(name), best) }
      const ending = await orAborted(ahead.ended, signal)
      if (ending.kind === 'stale') return { found: use(ending.stale), despiteError: true }
    }
  }

  return {
    take,
    async lookup(key) {
      const { best } = await look(placeOf(key), key.headers)
      if (best === undefined || (best.kind === 'arriving' && !best.fan.joinable)) return undefined
      return use(best)
    },
    insert(key, written, body) {
      write(key, written, body)
    },
    advise: (key, answer, wish) => advise(key, answer, wish, options),
    merged: updatedFields,
  }
}

async function storedOf(candidate: Candidate): Promise<StoredAnswer | undefined> {
  return candidate.kind === 'stored' ? candidate.stored : candidate.fan.done
}

/** No entry of the shared cache has such a key; see `cache-key.ts` and `program-cache.ts`. */
function placeOf({ scope, space, key }: CoreCacheKey): string {
  return `k ${scope}\n${space} ${key}`
}

/** Programs that vary by a field mean its very words: nothing is normalised. */
function exactSelection(names: readonly string[], headers: HeaderList): string {
  let text = ''
  for (const name of names) {
    const value = headerValues(headers, name)
    text += value === undefined ? '-\n' : `:${value}\n`
  }
  return text
}

function advise(
  key: CoreCacheKey,
  { status, headers }: { readonly status: number; readonly headers: HeaderList },
  wish: CacheWish,
  { limits, clock }: CoreCacheOptions,
): CoreCacheAdvice {
  const now = clock()
  const ask = readAsk({
    ...{ by: { program: key.scope }, method: 'GET', url: key.url, headers: key.headers, body: null },
    ...{ wantsUpgrade: false, cache: wish, signal: neverAborted },
  })
  const answer = { status, headers, requestedAt: now, receivedAt: now }
  const storing = status === 206 ? undefined : mayStore(answer, { ...ask, range: undefined })
  if (storing === undefined) return { store: false, why: 'status' }
  if (!storing.store) return { store: false, why: storing.why }
  const { policy, vary } = storing
  const length = headerValue(headers, 'content-length')
  return {
    store: true,
    written: {
      maxAgeMs: policy.validateAlways ? 0 : policy.lifetimeMs,
      initialAgeMs: policy.initialAgeMs,
      staleWhileRevalidateMs: policy.staleWhileRevalidateMs,
      staleIfErrorMs: policy.staleIfErrorMs,
      vary,
      tags: tagsOf(headers, wish.tags ?? [], { count: limits.cacheTags }),
      ...(length !== undefined && /^\d{1,15}$/.test(length) && { length: Number(length) }),
      metadata: '',
      sensitive: wish.memoryOnly === true,
      status,
      headers: [...storing.headers],
    },
  }
}

const neverAborted = new AbortController().signal

function gone(): EdgeError {
  return new EdgeError('client_gone', 'The request was given up before it was answered.')
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw gone()
  const left = Promise.withResolvers<never>()
  const leave = () => left.reject(gone())
  signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([work, left.promise])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
