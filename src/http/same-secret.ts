/** Comparing secrets so that neither the time taken nor the length tells anything about them. */
import { createHash, timingSafeEqual } from 'node:crypto'

/** A check against one secret; an absent value never passes. */
export function secretCheck(secret: string): (given: string | undefined) => boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const wanted = digest(secret)
  return (given) => given !== undefined && timingSafeEqual(digest(given), wanted)
}

/** The token in `Fastly-Key`, or in `Authorization: Bearer` (RFC 6750 §2.1). */
export function tokenOf(key: string | undefined, authorization: string | undefined): string | undefined {
  return key ?? /^bearer +(.+)$/i.exec(authorization ?? '')?.[1]
}
