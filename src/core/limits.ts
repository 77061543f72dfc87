/**
 * Everything that can grow, with its cap: one row each, from which code, CLI help and documentation are made.
 * A row says its unit, its default, and why that default.
 */
export interface LimitRow {
  readonly unit: 'bytes' | 'ms' | 's' | 'count' | 'percent' | 'per-second'
  readonly default: number
  readonly why: string
}

const KiB = 1024
const MiB = 1024 * 1024

export const limitTable = {
  // Front: what one client may ask of us.
  headerBytes: { unit: 'bytes', default: 128 * KiB, why: 'Workers accept 128 KB of request headers' },
  headerCount: { unit: 'count', default: 256, why: 'far above what browsers and proxies send (about 40)' },
  urlBytes: { unit: 'bytes', default: 16 * KiB, why: 'Workers accept URLs of 16 KB' },
  requestBodyBytes: { unit: 'bytes', default: 500 * MiB, why: "the larger of the vendors' ordinary plans" },
  headersTimeoutMs: { unit: 'ms', default: 15_000, why: 'a real client sends its headers in one or two packets' },
  bodyIdleTimeoutMs: { unit: 'ms', default: 30_000, why: 'longest silence inside a request body before 408' },
  responseIdleTimeoutMs: { unit: 'ms', default: 60_000, why: 'longest time a client may refuse to read' },
  keepAliveTimeoutMs: { unit: 'ms', default: 75_000, why: 'nginx and browsers agree on about a minute' },
  connectionsPerAddress: {
    unit: 'count',
    default: 1024,
    why: 'a large NAT still fits; one host cannot take all sockets',
  },
  connections: { unit: 'count', default: 20_000, why: 'bounded by file descriptors (two a connection)' },
  streamsPerConnection: { unit: 'count', default: 100, why: 'RFC 9113 §6.5.2 recommends no less; Envoy uses 100' },
  drainMs: { unit: 'ms', default: 10_000, why: 'SIGTERM: what is in flight may finish this long (contract)' },
  // Programs.
  moduleBytes: { unit: 'bytes', default: 64 * MiB, why: 'Workers accept 64 MiB of modules a program' },
  programStartMs: { unit: 'ms', default: 1_000, why: 'Workers allow 1 s for the global scope' },
  bindingsPerProgram: { unit: 'count', default: 256, why: 'Workers allow 128 variables; other bindings as many again' },
  textBindingBytes: { unit: 'bytes', default: 5 * KiB, why: 'Workers allow 5 KB a variable' },
  versionsPerProgram: { unit: 'count', default: 100, why: 'Workers keep 100 deployable versions for rollback' },
  programs: { unit: 'count', default: 10_000, why: 'the Snapshot is held in memory: about 2 KiB a program' },
  assetFileBytes: { unit: 'bytes', default: 25 * MiB, why: 'Workers accept 25 MiB an asset' },
  assetFiles: { unit: 'count', default: 100_000, why: 'Workers accept 100,000 assets a version (paid)' },
  assetManifestBytes: {
    unit: 'bytes',
    default: 64 * MiB,
    why: 'a manifest of 100,000 files with paths of 100 characters is 20 MB',
  },
  assetEntriesHeld: {
    unit: 'count',
    default: 300_000,
    why: 'manifest entries kept parsed, least recently used manifest out first; about 300 bytes each',
  },
  assetMemoryFileBytes: { unit: 'bytes', default: 64 * KiB, why: 'files up to here are answered from memory at once' },
  assetMemoryBytes: { unit: 'bytes', default: 64 * MiB, why: 'all files held in memory together' },
  assetRuleFileBytes: { unit: 'bytes', default: 1 * MiB, why: '2,100 redirect rules of ordinary length are 200 KB' },
  assetUploadBytes: { unit: 'bytes', default: 100 * MiB, why: 'one multipart upload; wrangler fills them to 50 MiB' },
  assetSessionSeconds: { unit: 's', default: 3600, why: 'Workers give an upload session an hour' },
  assetKnownSeconds: {
    unit: 's',
    default: 7 * 86_400,
    why: 'how long an uploaded file that no deployment names need not be sent again',
  },
  // Traces.
  traceBytes: { unit: 'bytes', default: 256 * KiB, why: 'Workers keep 256 KB of log per invocation' },
  traceQueue: { unit: 'count', default: 1000, why: 'traces waiting for one listener; more are dropped and counted' },
  traceListenSeconds: { unit: 's', default: 60, why: 'a listener that vanished costs its program no longer than this' },
  tailSessions: { unit: 'count', default: 10, why: 'Workers allow 10 viewers a program' },
  tailSessionSeconds: { unit: 's', default: 6 * 3600, why: 'Workers end a tail after six hours' },
  tailBufferBytes: { unit: 'bytes', default: 4 * MiB, why: 'unsent bytes of one viewer; more are dropped and counted' },
  tailIdleMs: { unit: 'ms', default: 30_000, why: 'a silent viewer is pinged after this, and cut off after twice' },
  tailMessageBytes: { unit: 'bytes', default: 64 * KiB, why: 'a viewer sends pings and one small JSON object' },
  // Stores.
  kvKeyBytes: { unit: 'bytes', default: 512, why: 'Workers KV' },
  kvMetadataBytes: { unit: 'bytes', default: 1024, why: 'Workers KV' },
  kvValueBytes: { unit: 'bytes', default: 25 * MiB, why: 'Workers KV' },
  kvInlineBytes: { unit: 'bytes', default: 64 * KiB, why: 'up to here a row is cheaper than a file with two fsyncs' },
  kvMinimumTtlS: { unit: 's', default: 60, why: 'Workers KV refuses expirations nearer than 60 s' },
  kvNamespaces: { unit: 'count', default: 1000, why: 'Workers KV allows 1,000 namespaces an account' },
  kvTitleBytes: { unit: 'bytes', default: 512, why: 'Workers KV' },
  kvBulkKeys: { unit: 'count', default: 10_000, why: 'Workers KV accepts 10,000 keys a bulk call' },
  kvBulkBytes: { unit: 'bytes', default: 100 * MiB, why: 'Workers KV accepts 100 MB a bulk call' },
  kvBulkGetKeys: { unit: 'count', default: 100, why: 'Workers KV reads at most 100 keys a call' },
  kvListKeys: { unit: 'count', default: 1000, why: 'Workers KV returns at most 1,000 keys a page' },
  // Fabric.
  fabricKeyBytes: { unit: 'bytes', default: 1024, why: 'the longest KV key with its namespace and room to spare' },
  fabricValueBytes: {
    unit: 'bytes',
    default: 8 * MiB,
    why: 'the largest message NATS recommends; more belongs in a blob',
  },
  fabricQueueBytes: { unit: 'bytes', default: 64 * MiB, why: 'writes waiting for the disk; beyond it: overloaded' },
  fabricBatch: { unit: 'count', default: 1024, why: 'writes in one transaction: bounds the wait of the first of them' },
  fabricBytes: { unit: 'bytes', default: 64 * 1024 * MiB, why: 'the database file; beyond it: storage_full' },
  blobGraceMs: {
    unit: 'ms',
    default: 3_600_000,
    why: 'a blob is stored before a record names it: longer than any upload',
  },
} as const satisfies Record<string, LimitRow>

export type LimitName = keyof typeof limitTable
export type Limits = { readonly [Name in LimitName]: number }

export const defaultLimits: Limits = Object.fromEntries(
  Object.entries(limitTable).map(([name, row]) => [name, row.default]),
) as Limits
