/** When a key ends, as Cloudflare's API says it: seconds since 1970, or seconds from now. */
import type { EpochMs, Seconds } from '#/core/units.ts'

export type Expiration =
  | { readonly ok: true; readonly expiresAt?: EpochMs }
  /** Cloudflare's sentence. */
  | { readonly ok: false; readonly message: string }

/** `ttl` wins where both are given. The nearest end allowed is `minimum` seconds from now. */
export function readExpiration(
  given: { readonly expiration?: string | number | undefined; readonly ttl?: string | number | undefined },
  now: EpochMs,
  minimum: Seconds,
): Expiration {
  const nowSeconds = Math.floor(now / 1000)
  if (given.ttl !== undefined) {
    const ttl = wholeSeconds(given.ttl)
    const invalid = `Invalid expiration_ttl of ${given.ttl}. `
    if (ttl === undefined || ttl <= 0) return { ok: false, message: `${invalid}Please specify integer greater than 0.` }
    if (ttl < minimum) return { ok: false, message: `${invalid}Expiration TTL must be at least ${minimum}.` }
    return { ok: true, expiresAt: (nowSeconds + ttl) * 1000 }
  }
  if (given.expiration === undefined) return { ok: true }
  const expiration = wholeSeconds(given.expiration)
  const invalid = `Invalid expiration of ${given.expiration}. `
  if (expiration === undefined || expiration <= nowSeconds) {
    const advice = 'Please specify integer greater than the current number of seconds since the UNIX epoch.'
    return { ok: false, message: invalid + advice }
  }
  if (expiration < nowSeconds + minimum) {
    const advice = `Expiration times must be at least ${minimum} seconds in the future.`
    return { ok: false, message: invalid + advice }
  }
  return { ok: true, expiresAt: expiration * 1000 }
}

/** Up to the last second that a date of JavaScript can hold (ECMA-262 §21.4.1.1). */
function wholeSeconds(given: string | number): Seconds | undefined {
  const seconds = typeof given === 'number' || /^\d+$/.test(given) ? Number(given) : Number.NaN
  return Number.isInteger(seconds) && seconds <= 8.64e12 ? seconds : undefined
}
