/** Rows of `limits.ts` that concern what several points of presence share. */
import type { LimitRow } from './limits.ts'

const KiB = 1024
const MiB = 1024 * KiB

export const platformLimits = {
  popsPerProcess: { unit: 'count', default: 16, why: 'each has engines, a cache in memory and listeners of its own' },
  meshHeadBytes: { unit: 'bytes', default: 256 * KiB, why: 'URL and fields of a forwarded request (144 KiB) in JSON' },
  natsConnectMs: { unit: 'ms', default: 3_000, why: 'until a server that says nothing counts as out of reach' },
  natsAttemptMs: {
    unit: 'ms',
    default: 2_000,
    why: 'one try of a write or read, with an fsync on two of three servers',
  },
  natsWriteMs: {
    unit: 'ms',
    default: 10_000,
    why: 'an unanswered write is tried again so long: an election takes 4 to 9 s',
  },
  natsReadMs: { unit: 'ms', default: 5_000, why: 'an unanswered read is tried again so long' },
  natsProbeMs: {
    unit: 'ms',
    default: 2_000,
    why: 'without other writes, one sign this often shows that writing works',
  },
  natsAwayMoveMs: { unit: 'ms', default: 3_000, why: 'a server without a majority for so long is left for the next' },
  natsPartBytes: {
    unit: 'bytes',
    default: 128 * KiB,
    why: 'of a value or blob in one message; NATS takes 1 MiB by default',
  },
  natsHistory: {
    unit: 'count',
    default: 16,
    why: 'versions of a key kept for watchers that lag and for unanswered writes',
  },
  natsReadsAtOnce: { unit: 'count', default: 64, why: 'records or parts asked for at once: hides the round trip' },
  natsTombstoneMs: { unit: 'ms', default: 7 * 86_400_000, why: 'a delete is kept for watchers that were cut off' },
  natsExpiredMs: { unit: 'ms', default: 86_400_000, why: 'what expired is removed later: a clock may be off by hours' },
  natsSweepMs: { unit: 'ms', default: 600_000, why: 'one node removes what nobody needs any more' },
  natsLeasesSeen: {
    unit: 'count',
    default: 10_000,
    why: "others' leases whose age is remembered, the oldest forgotten",
  },
  natsMessageBytes: { unit: 'bytes', default: 64 * MiB, why: 'parts of messages that are still incomplete' },
} as const satisfies Record<string, LimitRow>
