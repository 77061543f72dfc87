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
  // Cells: workerd processes that run programs.
  cellConnections: {
    unit: 'count',
    default: 1024,
    why: 'requests at once in one cell; each costs a descriptor on both sides',
  },
  cellIdleConnections: { unit: 'count', default: 128, why: 'kept open to a cell; more than a calm cell ever uses' },
  cellHeadBytes: { unit: 'bytes', default: 128 * KiB, why: 'a response head from a program; Workers accept 128 KB' },
  cells: { unit: 'count', default: 2, why: 'shared cells that serve; one thread each, so about one a core' },
  spareCells: { unit: 'count', default: 1, why: 'started and blank, to replace a cell that hangs or died' },
  cellBeatMs: { unit: 'ms', default: 100, why: 'pause between heartbeats of a cell' },
  cellStallMs: { unit: 'ms', default: 500, why: 'a cell silent for so long is killed: a loop stops all its programs' },
  cellPrograms: { unit: 'count', default: 32, why: 'isolates loaded in one cell: 1.5 MiB each, idle ones are evicted' },
  cellBytes: { unit: 'bytes', default: 512 * MiB, why: 'resident size at which a cell is replaced by a fresh one' },
  suspectMs: { unit: 'ms', default: 60_000, why: 'a program that hung its cell waits so long before it may run again' },
  quarantineCells: { unit: 'count', default: 4, why: 'programs under suspicion, each in a cell alone: a thread each' },
  hotRate: {
    unit: 'per-second',
    default: 100,
    why: 'a cell of its own saves about 60 µs CPU a request, and costs 11 MiB',
  },
  hotSeconds: { unit: 's', default: 3, why: 'seconds in a row at that rate: a burst alone moves nothing' },
  coolSeconds: { unit: 's', default: 60, why: 'seconds in a row below a tenth of that rate until it shares again' },
  formerDeployments: { unit: 'count', default: 256, why: 'replaced deployments that late requests may still ask for' },
  recentPrograms: { unit: 'count', default: 64, why: 'programs asked for lately, warmed after a start or a deploy' },
  // Cells of one program.
  cellStartMs: { unit: 'ms', default: 1_000, why: 'a workerd process starts in 23-37 ms; a busy machine needs more' },
  proofsAtOnce: { unit: 'count', default: 4, why: 'each is a process for some 40 ms; others wait in line' },
  ownCells: { unit: 'count', default: 64, why: 'programs in a process of their own at once, at 11 MiB each' },
  ownCellIdleMs: {
    unit: 'ms',
    default: 60_000,
    why: 'a process without requests ends; starting one takes about 40 ms',
  },
  ownCellDrainMs: {
    unit: 'ms',
    default: 2_000,
    why: 'requests in flight may finish this long while a new version waits',
  },
  heldRequests: {
    unit: 'count',
    default: 2_000,
    why: 'requests of a program that wait for its start or its new version',
  },
  programCpuMs: { unit: 'ms', default: 30_000, why: 'Workers allow 30 s of CPU a request by default' },
  // Stores.
  kvKeyBytes: { unit: 'bytes', default: 512, why: 'Workers KV' },
  kvMetadataBytes: { unit: 'bytes', default: 1024, why: 'Workers KV' },
  kvValueBytes: { unit: 'bytes', default: 25 * MiB, why: 'Workers KV' },
  kvListKeys: { unit: 'count', default: 1000, why: 'Workers KV returns at most 1,000 keys a page' },
} as const satisfies Record<string, LimitRow>

export type LimitName = keyof typeof limitTable
export type Limits = { readonly [Name in LimitName]: number }

export const defaultLimits: Limits = Object.fromEntries(
  Object.entries(limitTable).map(([name, row]) => [name, row.default]),
) as Limits
