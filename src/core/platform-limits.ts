/** Rows of `limits.ts` that concern what several points of presence share. */
import type { LimitRow } from './limits.ts'

const KiB = 1024
const MiB = 1024 * KiB

export const platformLimits = {
  popsPerProcess: { unit: 'count', default: 16, why: 'each has engines, a cache in memory and listeners of its own' },
  meshHeadBytes: { unit: 'bytes', default: 256 * KiB, why: 'URL and fields of a forwarded request (144 KiB) in JSON' },
  // Durable Objects over many nodes.
  nodeLeaseMs: {
    unit: 'ms',
    default: 10_000,
    why: 'an election among three NATS servers takes less; after a crash a node waits so long before its objects run',
  },
  nodeLeaseMarginMs: {
    unit: 'ms',
    default: 1_500,
    why: 'a node stops its objects so long before the lease is free: clocks drift, processes take time to end',
  },
  nodeLeaseRenewMs: { unit: 'ms', default: 2_500, why: 'three tries before the lease runs out' },
  objectHomesKept: { unit: 'count', default: 50_000, why: 'homes of objects in memory, about 200 bytes each' },
  objectRoutes: { unit: 'count', default: 512, why: 'cells of other nodes that calls go to, a socket each' },
  objectTunnelIdleMs: { unit: 'ms', default: 10_000, why: 'workerd keeps a caller about as long after its last call' },
  everywherePops: { unit: 'count', default: 128, why: 'points of presence that one call of `EVERYWHERE` may ask' },
  everywhereAtOnce: { unit: 'count', default: 32, why: 'of them at the same time, so that one call opens few tunnels' },
  everywhereMs: { unit: 'ms', default: 30_000, why: 'longest `timeoutMs`; a Worker has as long after its answer' },
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
  // The mesh: links between nodes.
  nodes: { unit: 'count', default: 1_000, why: 'of one platform; each dials all others and pings them twice a second' },
  meshPingMs: { unit: 'ms', default: 500, why: 'four chances to answer before a link counts as silent' },
  meshSilenceMs: {
    unit: 'ms',
    default: 2_000,
    why: 'without a byte for so long a link is cut; far above a round trip of the world (300 ms)',
  },
  meshConnectMs: { unit: 'ms', default: 1_500, why: 'TCP and TLS over the longest way, with one lost packet (1 s)' },
  meshLinkMs: { unit: 'ms', default: 2_000, why: 'a node that starts waits so long for links to all others' },
  meshRetryMs: { unit: 'ms', default: 500, why: 'longest pause between attempts, so that a healed link is up in 2 s' },
  meshStreamBytes: {
    unit: 'bytes',
    default: MiB,
    why: 'sent ahead of the reader, a call or tunnel: 6 MB/s each at a round trip of 160 ms',
  },
  meshSessionBytes: { unit: 'bytes', default: 16 * MiB, why: 'sent ahead on a link in all: 100 MB/s at 160 ms' },
  meshCalls: { unit: 'count', default: 1_024, why: 'in flight to one node; more are refused as overloaded' },
  meshTunnels: { unit: 'count', default: 4_096, why: 'open to one node: WebSockets of the objects that live there' },
  meshSessions: { unit: 'count', default: 4_096, why: 'incoming; one a node, and a second while one is replaced' },
  meshSkewMs: { unit: 'ms', default: 60_000, why: 'difference of two clocks that is pointed out' },
  meshHelloMs: { unit: 'ms', default: 60_000, why: 'pause between comparisons of clocks and versions over a link' },
  nodeCertificateSeconds: {
    unit: 's',
    default: 604_800,
    why: 'a week: a stolen key is of use no longer; renewed halfway',
  },
  inviteSeconds: { unit: 's', default: 3600, why: 'time to walk to another machine; «--expires» says otherwise' },
  invites: { unit: 'count', default: 1_000, why: 'known at once, used and expired ones of a week included' },
  joinMs: { unit: 'ms', default: 10_000, why: 'a newcomer waits so long for any node to answer' },
  joinQueue: {
    unit: 'count',
    default: 100,
    why: 'newcomers that one node answers or will answer; later ones ask again',
  },
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
  placedBlobWaitMs: {
    unit: 'ms',
    default: 5_000,
    why: 'a change may arrive before the bytes that it names, which come another way',
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
  newsBytes: { unit: 'bytes', default: 4 * MiB, why: 'changes that a node asks another for at once' },
  blobsHanded: { unit: 'count', default: 10_000, why: 'handed to other nodes ahead of a change, 100 bytes each' },
  canaryLookMs: {
    unit: 'ms',
    default: 100,
    why: 'how often answers of the canary are counted while it tries a change',
  },
  fabricRetryMs: { unit: 'ms', default: 1_000, why: 'between attempts of a node that started without what is shared' },
  nodeStatusMs: { unit: 'ms', default: 1_000, why: 'how often a node says what it serves' },
  nodesKnown: { unit: 'count', default: 1_000, why: 'nodes whose last word is remembered' },
  nodeHelloMs: { unit: 'ms', default: 500, why: 'a node that starts asks so long whether its name is taken' },
  // The fabric on NATS.
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
  natsAwayMoveMs: { unit: 'ms', default: 1_500, why: 'a server that writes nothing for so long: others are asked' },
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
  auditBytes: {
    unit: 'bytes',
    default: 64 * MiB,
    why: 'what one node tells of its disk: a line for each owner and place',
  },
  auditMs: {
    unit: 'ms',
    default: 60_000,
    why: 'a node reads its disk for so long before an audit says that it did not',
  },
  rateLimitKeys: {
    unit: 'count',
    default: 100_000,
    why: 'keys of rate limit bindings that a node counts; the longest unused go first',
  },
  rateLimitKeyBytes: { unit: 'bytes', default: 1024, why: 'a key of a rate limit binding; each is held in memory' },
  resourcesPerKind: { unit: 'count', default: 10_000, why: 'databases, buckets or queues; each is in every Snapshot' },
  resourceKnownMs: {
    unit: 'ms',
    default: 10_000,
    why: 'the home of a new database or bucket waits so long to hear of it: changes reach all nodes sooner',
  },
  placements: { unit: 'count', default: 10_000, why: 'settings of where things may be; each is in every Snapshot' },
} as const satisfies Record<string, LimitRow>
