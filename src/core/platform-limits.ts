/** Rows of `limits.ts` that concern what several points of presence share. */
import type { LimitRow } from './limits.ts'

const KiB = 1024
const MiB = 1024 * KiB

export const platformLimits = {
  popsPerProcess: { unit: 'count', default: 16, why: 'each has engines, a cache in memory and listeners of its own' },
  meshHeadBytes: { unit: 'bytes', default: 256 * KiB, why: 'URL and fields of a forwarded request (144 KiB) in JSON' },
  controlLogEntries: {
    unit: 'count',
    default: 1_000,
    why: 'changes that a node may have missed and still follow one by one',
  },
  controlLogBytes: {
    unit: 'bytes',
    default: 32 * 1024 * KiB,
    why: 'read at each start; older entries lie in the records',
  },
  controlEntryBytes: {
    unit: 'bytes',
    default: 256 * KiB,
    why: 'a message of NATS holds 1 MiB; larger changes lie in blobs',
  },
  snapshotSites: {
    unit: 'count',
    default: 30_000,
    why: 'programs, services and plain sites; some 2 KiB each in memory',
  },
  snapshotBytes: {
    unit: 'bytes',
    default: 512 * 1024 * KiB,
    why: 'serialized, all sites and programs; each node holds it in memory',
  },
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
  runOnceLeaseMs: {
    unit: 'ms',
    default: 10_000,
    why: 'a schedule whose node is gone goes on elsewhere after so long',
  },
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
