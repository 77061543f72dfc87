/** Objects of the cache that programs fill themselves: as they are kept, and as a program sees them. */
import type { Readable } from 'node:stream'
import type { CoreCacheKey, CoreCacheObject, CoreCacheState, CoreCacheWrite } from '#/core/core-cache.ts'
import type { Body } from '#/core/exchange.ts'
import type { EpochMs, Milliseconds } from '#/core/units.ts'
import { between } from './answer-stored.ts'
import { canonicalUrl } from './cache-key.ts'
import type { FanOut } from './fan-out.ts'
import { policyOf, ttlOf } from './may-reuse.ts'
import type { StoredPolicy } from './may-store.ts'
import type { Purges } from './purges.ts'
import type { StoredAnswer, StoredHead } from './store.ts'

export type Candidate =
  | { readonly kind: 'stored'; readonly head: StoredHead; readonly stored: StoredAnswer }
  | {
      readonly kind: 'arriving'
      readonly head: StoredHead
      readonly fan: FanOut
      readonly written: CoreCacheWrite
      /** Reads it from its first byte already, for the one who brings it. */
      readonly first?: Readable
    }

/** `StoredHead.policy` of such objects: the times as the shared cache has them, and what only these have. */
export type KeptPolicy = Pick<
  StoredPolicy,
  'lifetimeMs' | 'initialAgeMs' | 'staleWhileRevalidateMs' | 'staleIfErrorMs' | 'selects' | 'staleSince'
> & { readonly metadata: string; readonly length?: number }

export function headOf(
  { scope, url }: CoreCacheKey,
  place: string,
  written: CoreCacheWrite,
  { selects, sequence, now }: { readonly selects: string; readonly sequence: number; readonly now: EpochMs },
): StoredHead {
  const policy: KeptPolicy = {
    lifetimeMs: written.maxAgeMs,
    initialAgeMs: written.initialAgeMs,
    staleWhileRevalidateMs: written.staleWhileRevalidateMs,
    staleIfErrorMs: written.staleIfErrorMs,
    selects,
    metadata: written.metadata,
    ...(written.length !== undefined && { length: written.length }),
  }
  return {
    key: place,
    variant: `${written.vary.join(' ')}\n${selects}`,
    vary: written.vary,
    // An address that nobody purges: every head has one.
    url: url === '' ? 'core://' : canonicalUrl(url),
    status: written.status,
    headers: [...written.headers],
    tags: written.tags,
    scope,
    requestedAt: now,
    receivedAt: now,
    sequence,
    policy: policy as unknown as Record<string, unknown>,
    ...(written.sensitive && { memoryOnly: true as const }),
  }
}

export function stateOf(head: StoredHead, purges: Purges, now: EpochMs): CoreCacheState {
  const { staleWhileRevalidateMs, staleIfErrorMs, staleSince } = policyOf(head)
  const ttl = ttlOf(head, now, purges.of(head)?.at ?? staleSince)
  if (ttl > 0) return 'fresh'
  if (-ttl < staleWhileRevalidateMs) return 'while-revalidating'
  return -ttl < staleIfErrorMs ? 'if-error' : 'stale'
}

function writtenOf(head: StoredHead): CoreCacheWrite {
  const policy = head.policy as unknown as KeptPolicy
  return {
    maxAgeMs: policy.lifetimeMs,
    initialAgeMs: policy.initialAgeMs,
    staleWhileRevalidateMs: policy.staleWhileRevalidateMs,
    staleIfErrorMs: policy.staleIfErrorMs,
    vary: head.vary,
    tags: head.tags,
    ...(policy.length !== undefined && { length: policy.length }),
    metadata: policy.metadata,
    sensitive: head.memoryOnly === true,
    status: head.status,
    headers: head.headers,
  }
}

type Range = NonNullable<Parameters<CoreCacheObject['body']>[0]>

/** Inclusive, within what there is; undefined for the whole, also where what was asked for does not fit. */
function within({ from, to, strict }: Range, length: number): { start: number; end: number } | undefined {
  const start = from ?? 0
  const end = to ?? length - 1
  if (start === 0 && end === length - 1) return undefined
  if (start > end || end >= length) return strict === true ? { start, end: Math.min(end, length - 1) } : undefined
  return { start, end }
}

export function storedObject(
  stored: StoredAnswer,
  state: CoreCacheState,
  ageMs: Milliseconds,
  hits: number,
): CoreCacheObject {
  return {
    written: writtenOf(stored.head),
    state,
    ageMs,
    hits,
    length: stored.bodyBytes,
    body(range = {}) {
      const part = within(range, stored.bodyBytes)
      if (stored.bodyBytes === 0 || (part && part.start > part.end)) return null
      const bytes = stored.bytes()
      if (bytes === undefined) return stored.stream(part)
      return part === undefined ? bytes : bytes.subarray(part.start, part.end + 1)
    },
    atHand: () => stored.bytes(),
    release() {},
  }
}

export function arrivingObject(
  { fan, written, first }: Extract<Candidate, { kind: 'arriving' }>,
  state: CoreCacheState,
  ageMs: Milliseconds,
  hits: number,
): CoreCacheObject {
  // Joined now: what has arrived is kept for this one until it is read.
  let reader: Readable | undefined = first ?? fan.follow()
  // It may break off while nobody reads it; whoever reads it then finds it destroyed.
  reader.on('error', () => {})
  const take = (): Readable => {
    const taken = reader ?? fan.follow()
    reader = undefined
    return taken
  }
  const length = written.length ?? fan.length
  return {
    written,
    state,
    ageMs,
    hits,
    length,
    body(range = {}): Body {
      const whole = take()
      if (length === undefined && range.strict !== true) return whole
      const part = within(range, length ?? Number.MAX_SAFE_INTEGER)
      return part === undefined ? whole : between(whole, part.start, part.end)
    },
    atHand: () => undefined,
    release() {
      reader?.destroy()
      reader = undefined
    },
  }
}
