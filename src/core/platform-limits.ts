/** Rows of `limits.ts` that concern what several points of presence share. */
import type { LimitRow } from './limits.ts'

const KiB = 1024

export const platformLimits = {
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
} as const satisfies Record<string, LimitRow>
