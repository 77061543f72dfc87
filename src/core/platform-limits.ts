/** Rows of `limits.ts` that concern what several points of presence share. */
import type { LimitRow } from './limits.ts'

const KiB = 1024

export const platformLimits = {
  popsPerProcess: { unit: 'count', default: 16, why: 'each has engines, a cache in memory and listeners of its own' },
  meshHeadBytes: { unit: 'bytes', default: 256 * KiB, why: 'URL and fields of a forwarded request (144 KiB) in JSON' },
  auditBytes: {
    unit: 'bytes',
    default: 64 * 1024 * KiB,
    why: 'What one node tells of its disk: a line for each owner and place',
  },
  auditMs: {
    unit: 'ms',
    default: 60_000,
    why: 'A node reads its disk for so long before an audit says that it did not answer',
  },
  placements: {
    unit: 'count',
    default: 10_000,
    why: 'Settings of where things may be; each is one line of every Snapshot',
  },
} as const satisfies Record<string, LimitRow>
