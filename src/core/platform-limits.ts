/** Rows of `limits.ts` that concern what several points of presence share. */
import type { LimitRow } from './limits.ts'

const KiB = 1024

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
} as const satisfies Record<string, LimitRow>
