/** Our member of `Cache-Status` (RFC 9211), and the one word that logs and Cloudflare's header have for it. */
import type { CacheOutcome } from '#/core/ports.ts'
import type { Milliseconds } from '#/core/units.ts'

/** RFC 9211 §2.2. */
export type Forwarded = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'miss' | 'request' | 'stale' | 'partial'

export interface CacheSaying {
  readonly outcome: CacheOutcome
  /** Absent: answered from the store. */
  readonly forwarded?: Forwarded
  readonly forwardedStatus?: number
  readonly ttlMs?: Milliseconds
  readonly stored?: boolean
  readonly collapsed?: boolean
  /** One of our own words: why it was not stored, or why it was used stale. */
  readonly detail?: string
}

export function cacheStatus(saying: CacheSaying): string {
  const { forwarded, forwardedStatus, ttlMs, detail } = saying
  let text = forwarded === undefined ? 'rimward; hit' : `rimward; fwd=${forwarded}`
  if (forwardedStatus !== undefined) text += `; fwd-status=${forwardedStatus}`
  if (ttlMs !== undefined) text += `; ttl=${Math.floor(ttlMs / 1000)}`
  if (saying.stored === true) text += '; stored'
  if (saying.collapsed === true) text += '; collapsed'
  if (detail !== undefined) text += `; detail=${detail}`
  return text
}
