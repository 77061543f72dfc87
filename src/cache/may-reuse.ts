/** May a stored answer be used for this request, now? RFC 9111 §4, RFC 5861. */
import type { EpochMs, Milliseconds } from '#/core/units.ts'
import type { RequestDirectives } from '#/http/cache-control.ts'
import type { StoredPolicy } from './may-store.ts'
import type { StoredHead } from './store.ts'

export type Reuse =
  | { readonly kind: 'fresh'; readonly ttlMs: Milliseconds }
  /** Answer with it and ask the origin meanwhile. */
  | { readonly kind: 'while-revalidating'; readonly ttlMs: Milliseconds }
  | { readonly kind: 'revalidate'; readonly why: 'stale' | 'no-cache' | 'request'; readonly ttlMs: Milliseconds }

export function policyOf(head: StoredHead): StoredPolicy {
  return head.policy as unknown as StoredPolicy
}

export function ageOf(head: StoredHead, now: EpochMs): Milliseconds {
  return policyOf(head).initialAgeMs + Math.max(0, now - head.receivedAt)
}

/** `staleSince`: when a soft purge made it stale, else undefined. A ttl below 0 is the time since it became stale. */
export function ttlOf(head: StoredHead, now: EpochMs, staleSince: EpochMs | undefined): Milliseconds {
  const ttl = policyOf(head).lifetimeMs - ageOf(head, now)
  return staleSince === undefined ? ttl : Math.min(ttl, staleSince - now, -1)
}

export function mayReuse(
  head: StoredHead,
  directives: RequestDirectives | undefined,
  now: EpochMs,
  staleSince: EpochMs | undefined,
): Reuse {
  const policy = policyOf(head)
  const ttlMs = ttlOf(head, now, staleSince)
  if (policy.validateAlways) return { kind: 'revalidate', why: 'no-cache', ttlMs }
  if (directives !== undefined && refuses(directives, head, now, ttlMs))
    return { kind: 'revalidate', why: 'request', ttlMs }
  if (ttlMs > 0) return { kind: 'fresh', ttlMs }
  // §5.2.1.2: staleness that the client takes, where the origin does not forbid it.
  if (directives?.maxStale !== undefined && policy.staleIfDown && -ttlMs <= directives.maxStale * 1000)
    return { kind: 'fresh', ttlMs }
  if (-ttlMs < policy.staleWhileRevalidateMs) return { kind: 'while-revalidating', ttlMs }
  return { kind: 'revalidate', why: 'stale', ttlMs }
}

/** §5.2.1. */
function refuses(directives: RequestDirectives, head: StoredHead, now: EpochMs, ttlMs: Milliseconds): boolean {
  if (directives.noCache || directives.noStore) return true
  if (directives.minFresh !== undefined && ttlMs < directives.minFresh * 1000) return true
  return directives.maxAge !== undefined && ageOf(head, now) > directives.maxAge * 1000
}

/**
 * May a stale answer stand in for the origin's failure? `answered`: the origin said 5xx itself; then only where
 * stale-if-error says so (RFC 5861 §4). Where it could not be reached, RFC 9111 §4.2.4 allows it for `downMs`.
 */
export function mayStandIn(
  head: StoredHead,
  now: EpochMs,
  staleSince: EpochMs | undefined,
  failure: { readonly answered: boolean; readonly downMs: Milliseconds },
): boolean {
  const policy = policyOf(head)
  if (policy.validateAlways) return false
  const staleMs = -ttlOf(head, now, staleSince)
  if (staleMs <= policy.staleIfErrorMs) return true
  if (policy.staleIfErrorMs > 0) return false
  return !failure.answered && policy.staleIfDown && staleMs <= failure.downMs
}

/** Statuses for which stale-if-error holds (RFC 5861 §4). */
export function isServerFailure(status: number): boolean {
  return status === 500 || status === 502 || status === 503 || status === 504
}
