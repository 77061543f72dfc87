/** One running point of presence: the only file that wires rooms together. */
import { createHash, randomBytes } from 'node:crypto'
import { lstat, mkdir, readFile, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApi } from '#/apis/api.ts'
import { createAssets } from '#/assets/assets.ts'
import { openPurgeJournal } from '#/cache/purge-journal.ts'
import { createSharedCache } from '#/cache/shared-cache.ts'
import { createCacheStore } from '#/cache/two-tiers.ts'
import { createAssetUploads } from '#/control/assets-uploads.ts'
import { createCertificates } from '#/control/certificates/certificates.ts'
import { createControl } from '#/control/control.ts'
import { createEgressRules } from '#/control/egress-rules.ts'
import { findKvNamespace, finishKvRemovals } from '#/control/kv-namespaces.ts'
import { createProgramOutput } from '#/control/program-output.ts'
import { createTraces } from '#/control/traces.ts'
import { programFirst } from '#/core/asset-routing.ts'
import { backendSites } from '#/core/backend-sites.ts'
import { createCloser } from '#/core/closer.ts'
import { EdgeError } from '#/core/errors.ts'
import { joinEngines } from '#/core/join-engines.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Fabric } from '#/core/ports.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { type Address, createEdge, type Edge } from '#/edge/edge.ts'
import { createLocate } from '#/edge/locate.ts'
import { createLog, type LogOptions } from '#/edge/log.ts'
import { createMetrics } from '#/edge/metrics.ts'
import { chosenProgram, ownPool, ownProgram, ownSite } from '#/edge/own-hosts.ts'
import { createProgramEgress } from '#/edge/program-egress.ts'
import { createPurgeByUrl } from '#/edge/purge-by-url.ts'
import { createRequestTraces } from '#/edge/request-traces.ts'
import { readDevices } from '#/engines/compute/devices.ts'
import { createComputeEngine } from '#/engines/compute/engine.ts'
import { computeHostCalls } from '#/engines/compute/host-table.ts'
import { addLogMetrics } from '#/engines/compute/log-metrics.ts'
import { createLogSinks } from '#/engines/compute/log-sinks.ts'
import { createRateCounters } from '#/engines/compute/rate-counters.ts'
import { createWorkerdEngine } from '#/engines/workerd/engine.ts'
import { openOwnEngine } from '#/engines/workerd/own-engine.ts'
import { openSqliteFabric } from '#/fabric/sqlite/fabric.ts'
import { secretCheck } from '#/http/same-secret.ts'
import { withAnswerRules } from '#/origin/answer-rules.ts'
import { createDialer } from '#/origin/dialer.ts'
import { createEgress } from '#/origin/egress.ts'
import { createHealthChecks } from '#/origin/health-checks.ts'
import { addOriginMetrics } from '#/origin/origin-metrics.ts'
import { createProgramCalls, withOwnProbes, withOwnPrograms } from '#/origin/own-programs.ts'
import { createPoolEgress } from '#/origin/pool-egress.ts'
import { createClientKeys } from '#/stores/client-keys.ts'
import { openItemStores } from '#/stores/item-stores.ts'
import { createKvStores } from '#/stores/kv.ts'
import { createAccessLists, createConfigStores, createSecretVault } from '#/stores/program-stores.ts'
import { openSeal } from '#/stores/seal.ts'

export interface PopOptions {
  /** Everything that must last; claimed by the caller. */
  readonly data: string
  /** Port 0 lets the kernel choose. */
  readonly http: Address
  readonly https?: Address
  readonly api: Address
  readonly pop: { readonly id: string; readonly country?: string }
  readonly debug: boolean
  readonly token: string
  readonly log: 'file' | 'stderr' | 'off'
  /** How much of each exchange the log keeps. */
  readonly logged?: Pick<LogOptions, 'sample' | 'query' | 'address'>
  readonly otlpEndpoint?: string
}

export interface RunningPop {
  /** URLs, without a slash at the end. */
  readonly addresses: { readonly http: string; readonly https?: string; readonly api: string }
  readonly accountId: string
  /** What this machine lacks, a sentence each; the node runs without. */
  readonly lacks: readonly string[]
  /** Stops accepting, finishes what is in flight, closes everything. */
  stop(): Promise<void>
}

/** Rejects when a part cannot start; what had started by then is closed again. */
export async function startPop(options: PopOptions): Promise<RunningPop> {
  const closer = createCloser()
  try {
    return await start(options, closer)
  } catch (error) {
    await closer.close().catch(() => {})
    throw error
  }
}

async function start(options: PopOptions, closer: ReturnType<typeof createCloser>): Promise<RunningPop> {
  const { data, pop, token } = options
  const place = { id: pop.id, country: pop.country ?? 'XX' }
  const limits = defaultLimits
  const clock = Date.now
  const version = await readVersion()

  const log = await openLog(options)
  closer.add(() => log.close())
  const metrics = createMetrics({ limits })
  const say = (message: string, facts: object = {}) => log.logger.info(facts, message)

  // What lasts.
  const fabric = await openSqliteFabric({ folder: join(data, 'fabric'), clock, limits })
  closer.add(() => fabric.close())
  const seal = await openSeal({ keyFile: join(data, 'secret.key') })
  const kv = createKvStores({ fabric, limits, clock })
  await finishKvRemovals({ fabric, kv, limits, clock })
  const items = await openItemStores({ fabric, limits, clock })
  closer.add(() => items.close())
  const secrets = createSecretVault({ stores: items, seal })
  const accessLists = createAccessLists({ stores: items })
  const accountId = await platformId(fabric)

  // What answers.
  const assets = createAssets({ blobs: fabric.blobs, limits })
  const traces = createTraces({ fabric, clock, limits })
  closer.add(() => traces.close())
  const output = createProgramOutput({ limits })
  const rules = await createEgressRules({ fabric, limits, clock })
  closer.add(() => rules.close())
  let served: Snapshot = { revision: 0, sites: [], programs: new Map() }
  let edge: Edge | undefined
  const apiAddress: Address[] = []
  const waysOut = {
    rules,
    limits,
    clock,
    ownListeners: () =>
      [edge?.addresses.http, edge?.addresses.https, ...apiAddress]
        .filter((one) => one !== undefined)
        .map(({ host, port }) => ({ address: host, port })),
  }
  const direct = createEgress({ ...waysOut, seal, ownSite: (host, path) => ownSite(served, host, path) })
  const programAt = (host: string, path: string) => ownProgram(served, host, path)
  const ownPrograms = { programAt, engine: () => engine, limits }
  const isProgram = (site: string) => served.programs.has(site)
  const health = createHealthChecks({
    egress: withOwnProbes(direct, { ...ownPrograms, isProgram }),
    limits,
    clock,
    random: Math.random,
  })
  addOriginMetrics({ registry: metrics.registry, states: () => health.states(), limits })
  const pools = createPoolEgress({
    egress: direct,
    health,
    limits,
    random: Math.random,
    ownPool: (host, path) => ownPool(served, host, path),
  })
  const store = await createCacheStore({
    folder: join(data, 'cache'),
    memoryBytes: limits.cacheMemoryBytes,
    diskBytes: limits.cacheDiskBytes,
    limits,
    clock,
    log: say,
  })
  await mkdir(join(data, 'purges'), { recursive: true })
  const journal = await openPurgeJournal(join(data, 'purges'))
  const egress = createSharedCache({
    next: withAnswerRules(withOwnPrograms(pools, ownPrograms)),
    store,
    journal,
    limits,
    clock,
  })
  const programEgress = createProgramEgress({
    egress,
    snapshot: () => served,
    pop: { id: pop.id, country: pop.country ?? 'XX' },
    limits,
    clock,
  })
  closer.add(() => egress.close())
  closer.add(() => health.close())
  const runFolder = await openRunFolder(data)
  closer.add(() => rm(runFolder, { recursive: true, force: true }))
  await mkdir(join(data, 'engine'), { recursive: true })
  const workers = await createWorkerdEngine({
    folder: join(data, 'engine'),
    runFolder: join(runFolder, 'cells'),
    blobs: fabric.blobs,
    kv,
    seal,
    assets,
    egress: programEgress,
    callProgram: createProgramCalls({ chosen: (name) => chosenProgram(served, name), engine: () => engine, limits }),
    programCache: egress.programs,
    purge: egress.purge,
    traces,
    limits,
    clock,
    log: say,
    ownCells: openOwnEngine,
  })
  closer.add(() => workers.close())
  const locate = await createLocate({ limit: limits.locatedAddresses, folder: join(data, 'geo') })
  const devices = await readDevices(join(data, 'devices.json'), limits)
  const sinks = createLogSinks({ egress, dialer: createDialer(waysOut), limits, hostname: pop.id, log: say })
  closer.add(() => sinks.close())
  addLogMetrics({ registry: metrics.registry, sinks, limits })
  const compute = await createComputeEngine({
    folder: join(data, 'engine', 'compute'),
    runFolder: join(runFolder, 'compute'),
    blobs: fabric.blobs,
    limits,
    clock,
    pop: place,
    customer: accountId,
    log: say,
    hostCalls: computeHostCalls({
      cache: egress,
      seal,
      limits,
      backendStates: (program) => health.states(program),
      mayPurge: secretCheck(token),
      data: {
        kv,
        configs: createConfigStores({ stores: items }),
        secrets,
        accessLists,
        locate,
        ...(devices && { devices }),
        rates: createRateCounters({ limits, clock }),
        log: say,
        output,
        sinks,
        limits,
        clock,
      },
    }),
  })
  closer.add(() => compute.close())
  const engine = joinEngines(workers, compute)
  const lacks = compute.slowReset === undefined ? [] : [`Compute programs run slower here: ${compute.slowReset}.`]

  // A change in, a new Snapshot out.
  const control = await createControl({
    fabric,
    seal,
    engine,
    limits,
    clock,
    hasStore: async (store) => (await findKvNamespace(fabric, store)) !== undefined,
    async adopt(snapshot) {
      await engine.adopt(snapshot)
      served = snapshot
      health.adopt([...snapshot.sites, ...backendSites(snapshot.programs)])
    },
  })
  for (const problem of control.problems) log.logger.error({ problem }, 'a record was left out')
  const uploads = await createAssetUploads({ fabric, seal, clock, limits })
  closer.add(() => uploads.close())
  const certificates = await createCertificates({
    fabric,
    seal,
    folder: data,
    limits,
    clock,
    log: log.logger,
    sitesHostnames: () => served.sites.flatMap((site) => site.hostnames),
  })
  closer.add(() => certificates.close())

  edge = await createEdge({
    listen: { http: options.http, ...(options.https && { https: options.https }) },
    snapshot: () => served,
    engine,
    assets,
    programFirst,
    egress,
    purge: { purge: egress.purge, mayPurge: secretCheck(token) },
    certificates,
    log,
    metrics,
    ...(options.otlpEndpoint && {
      traces: await createRequestTraces({
        endpoint: options.otlpEndpoint,
        pop: { id: pop.id, country: pop.country ?? '' },
      }),
    }),
    limits,
    clock,
    pop: place,
    debug: options.debug,
    locate,
  })
  closer.add(() => edge.close())

  const addresses = { http: urlOf('http', edge.addresses.http), api: '' } as RunningPop['addresses'] & { api: string }
  if (edge.addresses.https) Object.assign(addresses, { https: urlOf('https', edge.addresses.https) })
  const api = createApi({
    control,
    kv,
    compute: { items, secrets, accessLists, clientKeys: createClientKeys({ limits, clock }), output },
    fabric,
    traces,
    uploads,
    rules,
    cache: createPurgeByUrl({
      cache: egress,
      snapshot: () => served,
      pop: { id: pop.id, country: pop.country ?? 'XX' },
    }),
    certificates,
    metrics,
    origins: (site) => health.states(site),
    token,
    accountId,
    version,
    pop: pop.id,
    addresses: () => addresses,
    dataPlane: { http: edge.addresses.http, https: edge.addresses.https },
    limits,
    clock,
    log: (message, error) => log.logger.error({ err: error }, message),
  })
  closer.add(() => api.close())
  apiAddress.push(await listen(api.server, options.api))
  addresses.api = urlOf('http', apiAddress[0]!)

  const sweeping = setInterval(() => {
    control
      .sweep(async function* () {
        yield* kv.blobsInUse()
        yield* uploads.inUse()
      })
      .catch((error) => log.logger.error({ err: error }, 'sweeping blobs failed'))
  }, limits.blobSweepMs)
  sweeping.unref()
  closer.add(() => clearInterval(sweeping))

  say('ready', { ...addresses, programs: served.programs.size, version })
  return {
    addresses,
    accountId,
    lacks,
    async stop() {
      await edge.drain()
      await closer.close()
    },
  }
}

/**
 * Where the cells' sockets lie: not below the data folder, because a unix socket's path has at most 107 bytes. The same
 * data folder gets the same one, so that what a killed node left behind is found by the next.
 */
async function openRunFolder(data: string): Promise<string> {
  const name = createHash('sha256').update(data).digest('hex').slice(0, 16)
  const folder = join(tmpdir(), `rimward-${name}`)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { uid, mode } = await lstat(folder)
  // In a folder that everybody may write to, somebody else could have made it first.
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0)
    throw new EdgeError('folder_in_use', `The folder ${folder} belongs to somebody else; remove it or set TMPDIR.`)
  return folder
}

async function readVersion(): Promise<string> {
  const file = await readFile(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(file) as { version: string }).version
}

async function openLog({ data, log, logged }: PopOptions) {
  const rest = { ...logged, limits: defaultLimits }
  if (log === 'stderr') return createLog({ to: 'stderr', ...rest })
  if (log === 'off') return createLog({ to: { write: () => {} }, ...rest })
  await mkdir(join(data, 'log'), { recursive: true })
  return createLog({ to: { file: join(data, 'log', 'rimward.jsonl') }, ...rest })
}

/** The platform's own id, which wrangler calls the account: made once, 32 hex digits. */
async function platformId(fabric: Fabric): Promise<string> {
  const bucket = fabric.bucket('platform')
  await bucket.put('id', randomBytes(16), { expect: 0 })
  return Buffer.from((await bucket.get('id'))!.value).toString('hex')
}

function urlOf(scheme: 'http' | 'https', { host, port }: Address): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

async function listen(server: Server, { host, port }: Address): Promise<Address> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(port, host, resolve)
  await promise
  server.off('error', reject)
  const bound = server.address() as AddressInfo
  return { host: bound.address, port: bound.port }
}
