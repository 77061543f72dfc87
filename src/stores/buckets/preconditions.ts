/** May a get or put go on? RFC 9110 §13.2.2, with times of upload; strict comparisons of times as R2's. */
import type { BucketObject, EtagMatch, Preconditions } from '#/core/buckets.ts'
import type { EpochMs } from '#/core/units.ts'

/** `object` undefined: there is none. */
export function holds(
  { matches, matchesNot, before, after, inSeconds = false }: Preconditions,
  object: Pick<BucketObject, 'etag' | 'uploadedAt'> | undefined,
): boolean {
  if (object === undefined) return matches === undefined && after === undefined
  const time = (at: EpochMs) => (inSeconds ? Math.floor(at / 1000) * 1000 : at)
  const uploaded = time(object.uploadedAt)
  const isMatch = matches === undefined || includes(matches, object.etag, { weakly: false })
  const isOther = matchesNot === undefined || !includes(matchesNot, object.etag, { weakly: true })
  // §13.1.3 and §13.1.4: a time counts only where no etag has spoken already.
  const isLater = after === undefined || time(after) < uploaded || (matchesNot !== undefined && isOther)
  const isEarlier = before === undefined || uploaded < time(before) || (matches !== undefined && isMatch)
  return isMatch && isOther && isLater && isEarlier
}

function includes(list: readonly EtagMatch[], etag: string, { weakly }: { readonly weakly: boolean }): boolean {
  return list.some((one) => one.kind === 'any' || (one.etag === etag && (weakly || one.kind === 'strong')))
}
