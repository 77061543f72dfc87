/** How long to wait until something is tried again that could not be adopted or read for want of something else. */
import type { Limits } from './limits.ts'
import type { Milliseconds } from './units.ts'

/** Twice as long after each try, up to a bound; `tries` so far, from 1. */
export function retryAfter(
  tries: number,
  { adoptRetryMs, adoptRetryMaxMs }: Pick<Limits, 'adoptRetryMs' | 'adoptRetryMaxMs'>,
): Milliseconds {
  return Math.min(adoptRetryMaxMs, adoptRetryMs * 2 ** Math.min(tries - 1, 20))
}
