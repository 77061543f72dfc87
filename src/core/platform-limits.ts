/** Rows of `limits.ts` that concern what several points of presence share. */
import type { LimitRow } from './limits.ts'

const KiB = 1024

export const platformLimits = {
  meshHeadBytes: { unit: 'bytes', default: 256 * KiB, why: 'URL and fields of a forwarded request (144 KiB) in JSON' },
  placements: {
    unit: 'count',
    default: 10_000,
    why: 'Settings of where things may be; each is one line of every Snapshot',
  },
} as const satisfies Record<string, LimitRow>
