/** Rows of `limits.ts` that concern what several points of presence share. */
import type { LimitRow } from './limits.ts'

const KiB = 1024
const MiB = 1024 * 1024

export const platformLimits = {
  meshHeadBytes: { unit: 'bytes', default: 256 * KiB, why: 'URL and fields of a forwarded request (144 KiB) in JSON' },
  // The mesh: links between nodes.
  nodes: { unit: 'count', default: 1_000, why: 'of one platform; each dials all others and pings them twice a second' },
  meshPingMs: { unit: 'ms', default: 500, why: 'four chances to answer before a link counts as silent' },
  meshSilenceMs: {
    unit: 'ms',
    default: 2_000,
    why: 'without a byte for so long a link is cut; far above a round trip of the world (300 ms)',
  },
  meshConnectMs: { unit: 'ms', default: 2_000, why: 'TCP and TLS over the longest way, with one lost packet (1 s)' },
  meshRetryMs: {
    unit: 'ms',
    default: 1_000,
    why: 'longest pause between attempts, so that a healed link is up in 2 s',
  },
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
    default: 7 * 86_400,
    why: 'a stolen key is of use no longer; renewed after half of it, so that days of trouble do no harm',
  },
} as const satisfies Record<string, LimitRow>
