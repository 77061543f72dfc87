/** Rows of `limits.ts` that concern what several points of presence share. */
import type { LimitRow } from './limits.ts'

const KiB = 1024

export const platformLimits = {
  popsPerProcess: { unit: 'count', default: 16, why: 'each has engines, a cache in memory and listeners of its own' },
  meshHeadBytes: { unit: 'bytes', default: 256 * KiB, why: 'URL and fields of a forwarded request (144 KiB) in JSON' },
} as const satisfies Record<string, LimitRow>
