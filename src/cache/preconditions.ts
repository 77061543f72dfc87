/** Conditional requests against a stored answer: RFC 9110 §13, RFC 9111 §4.3.2. */
import type { HeaderList } from '#/core/exchange.ts'
import type { EpochMs } from '#/core/units.ts'
import { parseEntityTags, sameEntityTag } from '#/http/conditional.ts'
import { headerValue, headerValues } from '#/http/header-list.ts'
import { parseHttpDate } from '#/http/http-date.ts'

export interface Validators {
  readonly etag?: string | undefined
  readonly lastModified?: string | undefined
  /** When it was last changed as far as is known; Infinity where dates do not count. */
  readonly changedAt: number
}

/** May the client keep what it has? Only answers of 200 are conditional here (§13.2.1). */
export function notModified(asked: HeaderList, { etag, changedAt }: Validators, now: EpochMs): boolean {
  const ifNoneMatch = headerValues(asked, 'if-none-match')
  if (ifNoneMatch !== undefined) {
    if (etag === undefined) return ifNoneMatch.trim() === '*'
    const tags = parseEntityTags(ifNoneMatch)
    // Tags that are none by the grammar still are what the origin sent and the client sent back.
    return tags === 'any' || ifNoneMatch === etag || tags.some((tag) => sameEntityTag(tag, etag, { weak: true }))
  }
  const ifModifiedSince = headerValue(asked, 'if-modified-since')
  if (ifModifiedSince === undefined) return false
  const since = parseHttpDate(ifModifiedSince, now)
  return since !== undefined && changedAt - (changedAt % 1000) <= since
}

/** §13.1.5: without it, or where it names exactly what is stored, a range may be cut out. */
export function ifRangeHolds(asked: HeaderList, { etag, lastModified }: Validators): boolean {
  const ifRange = headerValue(asked, 'if-range')?.trim()
  if (ifRange === undefined) return true
  if (ifRange.startsWith('"')) return etag !== undefined && sameEntityTag(ifRange, etag, { weak: false })
  return lastModified !== undefined && ifRange === lastModified
}

export const conditionalNames: ReadonlySet<string> = new Set([
  'if-none-match',
  'if-modified-since',
  'if-match',
  'if-unmodified-since',
])
