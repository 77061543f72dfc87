/** Rows of `limits.ts` that concern what several points of presence share. */
import type { LimitRow } from './limits.ts'

const KiB = 1024
const MiB = 1024 * 1024

export const platformLimits = {
  meshHeadBytes: { unit: 'bytes', default: 256 * KiB, why: 'URL and fields of a forwarded request (144 KiB) in JSON' },
  purgeLogEntries: {
    unit: 'count',
    default: 100_000,
    why: 'purges kept for nodes that were away, about 200 bytes each',
  },
  purgeLogBytes: {
    unit: 'bytes',
    default: 32 * MiB,
    why: 'the same, in memory and on disk; a node that misses more purges everything',
  },
  purgeLogMs: { unit: 'ms', default: 86_400_000, why: 'the same: few answers are fresh for longer than a day' },
  purgeReceipts: { unit: 'count', default: 10_000, why: 'told again by their id, 100 bytes a node each' },
  purgeAckMs: {
    unit: 'ms',
    default: 5_000,
    why: 'a node that takes longer counts as away; four times the longest round trip',
  },
  purgeCatchUpMs: {
    unit: 'ms',
    default: 2_000,
    why: 'requests wait so long for what was purged while a link was down',
  },
  purgeFirstContactMs: {
    unit: 'ms',
    default: 5_000,
    why: 'a node that starts waits so long for links before it says it is ready',
  },
  purgeCompareMs: {
    unit: 'ms',
    default: 10_000,
    why: 'how often nodes compare what they applied, besides telling each other at once',
  },
  purgeBatches: {
    unit: 'count',
    default: 32,
    why: 'batches on their way to one node; what comes meanwhile waits for one to arrive',
  },
  purgeBatchBytes: { unit: 'bytes', default: 4 * MiB, why: 'purges that are sent in one body to a node that was away' },
} as const satisfies Record<string, LimitRow>
