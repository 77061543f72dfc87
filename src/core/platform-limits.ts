/** Rows of `limits.ts` that concern what several points of presence share. */
import type { LimitRow } from './limits.ts'

const KiB = 1024
const MiB = 1024 * KiB

export const platformLimits = {
  meshHeadBytes: { unit: 'bytes', default: 256 * KiB, why: 'URL and fields of a forwarded request (144 KiB) in JSON' },
  // Replication.
  replicationBytes: {
    unit: 'bytes',
    default: 64 * 1024 * MiB,
    why: 'the file of the replicas; beyond it: storage_full',
  },
  replicationPushMs: {
    unit: 'ms',
    default: 2,
    why: 'writes to one peer are gathered this long: 500 calls a second at most',
  },
  replicationPageBytes: { unit: 'bytes', default: MiB, why: 'operations sent at once; one larger value goes alone' },
  replicationWindowBytes: {
    unit: 'bytes',
    default: 8 * MiB,
    why: 'sent to a peer and not yet answered; beyond it the peer asks for what it missed',
  },
  replicationBeatMs: { unit: 'ms', default: 1_000, why: 'how often nodes compare what they have, and their clocks' },
  replicationRepairMs: {
    unit: 'ms',
    default: 500,
    why: 'what is missing this long is asked for: longer than a push takes',
  },
  replicationAskMs: { unit: 'ms', default: 30_000, why: 'a page or a blob of a peer; a link that hangs ends there' },
  replicationVectorBytes: {
    unit: 'bytes',
    default: 4 * MiB,
    why: 'what a node has seen: 40 bytes for each node and set of countries',
  },
  replicationBlobFetches: { unit: 'count', default: 4, why: 'values of 25 MiB fetched at once' },
  replicationTombstoneMs: {
    unit: 'ms',
    default: 7 * 86_400_000,
    why: 'deletes are remembered for nodes that are away; after longer they get the whole state',
  },
  replicationSkewMs: { unit: 'ms', default: 250, why: 'clocks that differ by more from most others are corrected' },
  replicationAheadMs: {
    unit: 'ms',
    default: 86_400_000,
    why: 'writes stamped further ahead are not taken: a broken clock, not a wrong one',
  },
} as const satisfies Record<string, LimitRow>
