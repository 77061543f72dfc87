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
  unreadBodyBytes: {
    unit: 'bytes',
    default: 256 * KiB,
    why: 'a body nobody read is thrown away up to here to keep the connection; beyond, closing it is cheaper',
  },
  lingerMs: {
    unit: 'ms',
    default: 2_000,
    why: 'a client still sending a refused body has so long to read why; RFC 9112 §9.6 asks for it, nginx gives 5 s',
  },
  certificateLookupMs: { unit: 'ms', default: 3_000, why: 'a browser gives a handshake about ten seconds in all' },
  tlsContexts: { unit: 'count', default: 1_000, why: 'parsed certificates in memory, about 50 KiB each' },
  tlsTicketKeySeconds: {
    unit: 's',
    default: 43_200,
    why: 'RFC 8446 §4.6.1 allows a week; half a day limits a leaked key',
  },
  requestLoops: { unit: 'count', default: 8, why: 'RFC 8586: how often one request may come back through us' },
  locatedAddresses: { unit: 'count', default: 10_000, why: 'addresses whose country is remembered, 100 bytes each' },
  metricSites: { unit: 'count', default: 200, why: 'sites with time series of their own; the rest share `other`' },
  logFileBytes: { unit: 'bytes', default: 64 * MiB, why: 'about 150,000 exchanges a file' },
  logFiles: { unit: 'count', default: 8, why: 'log files kept, so half a GiB on disk in all' },
  logQueueBytes: {
    unit: 'bytes',
    default: 16 * MiB,
    why: 'lines that wait for a slow disk; later ones are counted and dropped',
  },
  drainMs: { unit: 'ms', default: 10_000, why: 'SIGTERM: what is in flight may finish this long (contract)' },
  // Programs.
  moduleBytes: { unit: 'bytes', default: 64 * MiB, why: 'Workers accept 64 MiB of modules a program' },
  programStartMs: { unit: 'ms', default: 1_000, why: 'Workers allow 1 s for the global scope' },
  bindingsPerProgram: { unit: 'count', default: 256, why: 'Workers allow 128 variables; other bindings as many again' },
  textBindingBytes: { unit: 'bytes', default: 5 * KiB, why: 'Workers allow 5 KB a variable' },
  versionsPerProgram: { unit: 'count', default: 100, why: 'Workers keep 100 deployable versions for rollback' },
  rolloutsPerProgram: { unit: 'count', default: 100, why: 'as many as versions: each can be gone back to' },
  rolloutParts: { unit: 'count', default: 10, why: 'Cloudflare splits traffic between 2; more helps comparing' },
  modulesPerProgram: { unit: 'count', default: 2_000, why: 'frameworks that do not bundle upload some hundreds' },
  routesPerProgram: { unit: 'count', default: 1_000, why: 'Cloudflare allows 1,000 routes a zone' },
  hostnamesPerProgram: { unit: 'count', default: 100, why: 'Cloudflare allows 100 custom domains a zone' },
  metadataBytes: { unit: 'bytes', default: 5 * MiB, why: '256 bindings of 5 KB, _headers and _redirects fit' },
  blobSweepMs: { unit: 'ms', default: 3_600_000, why: 'pause between sweeps of blobs that nothing names any more' },
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
  // Origins: what leaves here, for programs and for sites.
  origins: { unit: 'count', default: 1_000, why: 'pools of connections kept, the least recently used go first' },
  originConnections: { unit: 'count', default: 256, why: 'to one origin; far below the 28,000 ports of one address' },
  originRequests: { unit: 'count', default: 1_024, why: 'in flight to one origin; more wait in vain and hold memory' },
  originHeaderBytes: { unit: 'bytes', default: 128 * KiB, why: 'Workers accept 128 KB of response headers' },
  originResolveMs: { unit: 'ms', default: 5_000, why: 'two servers asked twice; resolv.conf(5) waits 5 s for one' },
  originConnectMs: { unit: 'ms', default: 10_000, why: 'a lost SYN is sent again after 1, 3 and 7 s' },
  originAttemptMs: { unit: 'ms', default: 1_000, why: 'then the next address of the name; covers one lost SYN' },
  originFirstByteMs: { unit: 'ms', default: 60_000, why: 'between the 15 s of Fastly and the 100 s of Cloudflare' },
  originBetweenBytesMs: { unit: 'ms', default: 60_000, why: 'event streams send a sign of life every 15 to 30 s' },
  originKeepAliveMs: { unit: 'ms', default: 4_000, why: 'shorter than the 5 s after which Node and Apache hang up' },
  siteOrigins: { unit: 'count', default: 32, why: 'origins of one site; all are weighed for each request' },
  siteOriginConnectMs: { unit: 'ms', default: 1_000, why: 'connect_timeout of Fastly' },
  siteOriginFirstByteMs: { unit: 'ms', default: 15_000, why: 'first_byte_timeout of Fastly' },
  siteOriginBetweenBytesMs: { unit: 'ms', default: 10_000, why: 'between_bytes_timeout of Fastly' },
  siteOriginConnections: { unit: 'count', default: 200, why: 'max_conn of Fastly' },
  originRetries: {
    unit: 'count',
    default: 2,
    why: 'other origins tried for one request; more would multiply the load of a failure',
  },
  healthChecks: { unit: 'count', default: 1_000, why: 'origins that are checked; a timer and a window each' },
  healthChecksAtOnce: { unit: 'count', default: 32, why: 'checks in flight; others wait their turn' },
  errorPageBytes: { unit: 'bytes', default: 64 * KiB, why: 'one custom page, kept in memory with its site' },
  errorPages: { unit: 'count', default: 8, why: 'a page each for a few statuses and both classes' },
  originNames: { unit: 'count', default: 10_000, why: 'resolved names kept, about 200 bytes each' },
  originNameMs: { unit: 'ms', default: 30_000, why: 'longest time a resolved name is kept, whatever its TTL' },
  originLookups: { unit: 'count', default: 256, why: 'names being resolved at once, for all programs' },
  originLookupsPerSource: { unit: 'count', default: 32, why: 'one program with dead names leaves room for others' },
  egressHops: { unit: 'count', default: 16, why: 'Workers allow 16 invocations in a chain' },
  egressRules: { unit: 'count', default: 1_000, why: 'matched one by one for each request to a private address' },
  cachePolicyItems: {
    unit: 'count',
    default: 100,
    why: 'names, paths or statuses in one list of a cache policy; looked through for each request',
  },
  // Certificates.
  certificates: { unit: 'count', default: 10_000, why: 'uploaded and from ACME; names held in memory' },
  certificateBytes: { unit: 'bytes', default: 64 * KiB, why: 'a chain and its key; ten certificates of 4096 bits fit' },
  certificateNames: { unit: 'count', default: 100, why: 'public authorities put at most 100 names in one' },
  certificateCache: { unit: 'count', default: 1_000, why: 'opened keys and local leaves in memory, 2 KiB each' },
  acmeHostnames: { unit: 'count', default: 1_000, why: 'one certificate each, ordered one after the other' },
  acmeOrderMs: {
    unit: 'ms',
    default: 240_000,
    why: 'one certificate; within the lease of 5 min that serialises orders',
  },
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
  bundleBytes: { unit: 'bytes', default: 32 * MiB, why: 'code of programs held ready for a first request' },
  cellBytes: { unit: 'bytes', default: 512 * MiB, why: 'resident size at which a cell is replaced by a fresh one' },
  suspectMs: { unit: 'ms', default: 60_000, why: 'a program that hung its cell waits so long before it may run again' },
  quarantineCells: { unit: 'count', default: 4, why: 'programs under suspicion, each in a cell alone: a thread each' },
  groupRate: { unit: 'per-second', default: 2, why: 'a program asked so often is worth a place in the group' },
  groupSeconds: { unit: 's', default: 2, why: 'seconds in a row at that rate: a single visit moves nothing' },
  groupPrograms: { unit: 'count', default: 32, why: 'programs in one group: 2 to 8 MiB and 4 ms of start each' },
  groupBytes: {
    unit: 'bytes',
    default: 1024 * MiB,
    why: 'resident size at which a group is made anew: garbage of all',
  },
  groupPauseMs: { unit: 'ms', default: 5_000, why: 'newcomers wait so long for the next group: each is a process' },
  groupKeptMs: { unit: 'ms', default: 60_000, why: 'a group that lost members is made anew after so long' },
  formerGroups: { unit: 'count', default: 3, why: 'replaced groups that finish what they began; then nobody joins' },
  hotRate: {
    unit: 'per-second',
    default: 500,
    why: 'a cell of its own is a thread of its own, which neighbours in the group then have for them; it costs 11 MiB',
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
  // The shared cache.
  cacheMemoryBytes: { unit: 'bytes', default: 256 * MiB, why: 'answers held in memory; about 100,000 of 1 KiB' },
  cacheObjectBytes: { unit: 'bytes', default: 512 * MiB, why: 'Cloudflare stores up to 512 MB an object' },
  cacheFollowBytes: {
    unit: 'bytes',
    default: 8 * MiB,
    why: 'of one arriving body, kept for clients that join; beyond it newcomers fetch for themselves',
  },
  cacheFinishBytes: {
    unit: 'bytes',
    default: 32 * MiB,
    why: 'still to come of a body that nobody waits for any more, for the fetch to go on',
  },
  cacheFinishMs: { unit: 'ms', default: 30_000, why: 'a fetch that nobody waits for any more ends after this' },
  cacheSegmentBytes: { unit: 'bytes', default: 2 * MiB, why: 'between the 1 MB of Fastly and a disk that likes more' },
  cacheSegmentFromBytes: {
    unit: 'bytes',
    default: 8 * MiB,
    why: 'objects larger than this whose ranges are asked for are kept in segments',
  },
  cacheLargeObjects: { unit: 'count', default: 10_000, why: 'objects known to be in segments, about 200 bytes each' },
  cacheSoloKeys: { unit: 'count', default: 100_000, why: 'uncacheable keys remembered, about 200 bytes each' },
  cacheSoloMs: {
    unit: 'ms',
    default: 120_000,
    why: 'Varnish and Fastly remember an uncacheable answer for two minutes',
  },
  cacheStaleIfDownMs: {
    unit: 'ms',
    default: 86_400_000,
    why: 'how stale an answer may stand in for an origin that cannot be reached, where nothing forbids it',
  },
  cacheTags: { unit: 'count', default: 1_000, why: 'tags of one answer; Cloudflare allows 16 KB of them, Fastly too' },
  cachePurges: {
    unit: 'count',
    default: 200_000,
    why: 'purges remembered until what they match is gone, about 150 bytes each',
  },
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
  // Control plane.
  rimwardApiBodyBytes: { unit: 'bytes', default: MiB, why: 'bodies of our own API are small JSON documents or PEM' },
  logReaders: { unit: 'count', default: 100, why: 'people who follow logs at once; each holds a socket and a queue' },
  logReaderLines: { unit: 'count', default: 1_000, why: 'lines that wait for a slow reader; later ones are counted' },
  logKeepAliveMs: { unit: 'ms', default: 15_000, why: 'shorter than the idle time of common proxies (60 s)' },
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
