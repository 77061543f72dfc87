/**
 * The data plane of one node: its stores, cache, engines and listeners, wired together. What several nodes of a process
 * have in common is handed over by `platform.ts`.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createAssets } from '#/assets/assets.ts'
import { createNodeAudit, type NodeAudit } from '#/audit/node-audit.ts'
import { keepStoreInside } from '#/cache/keep-inside.ts'
import { openPurgeJournal } from '#/cache/purge-journal.ts'
import type { PlatformPurges } from '#/cache/tiers/platform-purges.ts'
import { openTieredCache } from '#/cache/tiers/tiered-cache.ts'
import { createCacheStore } from '#/cache/two-tiers.ts'
import { createEgressRules, type EgressRuleBook } from '#/control/egress-rules.ts'
import { createFollower, type Follower } from '#/control/follower.ts'
import { programFirst } from '#/core/asset-routing.ts'
import type { Certificates } from '#/core/certificates.ts'
import { type Closer, startWhole } from '#/core/closer.ts'
import { isHere, placementsOf } from '#/core/holdings.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import { keepEgressInside, onlyHere } from '#/core/keep-inside.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { OriginState } from '#/core/origin.ts'
import type { Place } from '#/core/pops.ts'
import type { Engine, Fabric, Seal } from '#/core/ports.ts'
import type { ProgramOutput } from '#/core/program-output.ts'
import { resourceOf } from '#/core/resources.ts'
import { siteNamed } from '#/core/site-list.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import type { TakePurge } from '#/core/tiers.ts'
import type { Traces } from '#/core/traces.ts'
import type { Clock } from '#/core/units.ts'
import { createEventDelivery, type EventDelivery } from '#/edge/deliver-event.ts'
import { type Address, createEdge, type Edge } from '#/edge/edge.ts'
import { originAnswers } from '#/edge/fetch-again.ts'
import { prepareSites } from '#/edge/find-site.ts'
import type { Locate } from '#/edge/locate.ts'
import type { Log, LogOptions } from '#/edge/log.ts'
import { createMetrics, type Metrics } from '#/edge/metrics.ts'
import { openNodeLog } from '#/edge/node-log.ts'
import { ownPool, ownProgram, ownSite } from '#/edge/own-hosts.ts'
import { createPurgeByUrl } from '#/edge/purge-by-url.ts'
import { createRequestTraces } from '#/edge/request-traces.ts'
import { withTailConsumers } from '#/edge/tail-consumers.ts'
import type { readDevices } from '#/engines/compute/devices.ts'
import { createPlacedWords } from '#/fabric/placed/placed-words.ts'
import { secretCheck } from '#/http/same-secret.ts'
import { createHomedStores } from '#/objects/homed-stores.ts'
import { openObjects } from '#/objects/open-objects.ts'
import { withAnswerRules } from '#/origin/answer-rules.ts'
import { createDialer } from '#/origin/dialer.ts'
import { createEgress } from '#/origin/egress.ts'
import { createHealthChecks } from '#/origin/health-checks.ts'
import { addOriginMetrics } from '#/origin/origin-metrics.ts'
import { withOwnProbes, withOwnPrograms } from '#/origin/own-programs.ts'
import { createPoolEgress } from '#/origin/pool-egress.ts'
import { withPublicBuckets } from '#/origin/public-buckets.ts'
import type { Replicas } from '#/replication/replicas.ts'
import { openItemStores } from '#/stores/item-stores.ts'
import { createKvStores } from '#/stores/kv.ts'
import { storesOver } from '#/stores/program-stores.ts'
import { openEngines, popOf } from './open-engines.ts'
import { openHomedStores } from './open-stores.ts'

/** What the node was started with. */
export interface NodeOptions {
  readonly debug: boolean
  readonly token: string
  readonly log: 'file' | 'stderr' | 'off'
  /** How much of each exchange the log keeps. */
  readonly logged?: Pick<LogOptions, 'sample' | 'query' | 'address'>
  readonly otlpEndpoint?: string
}

export interface PopOptions extends NodeOptions {
  /** Of this node alone. */
  readonly folder: string
  readonly place: Place
  /** Port 0 lets the kernel choose. */
  readonly listen: { readonly http: Address; readonly https?: Address }
  /** The platform as this node reaches it: shared, or its own copy of what is shared. */
  readonly fabric: Fabric
  /** The fabric is a copy: blobs that programs need are brought to it before they are asked for. */
  readonly copies: boolean
  /** Absent where this is the only node. */
  readonly mesh?: Mesh
  /** Where the stores lie when they are merged between nodes; absent: in the fabric. */
  readonly replicas?: Replicas
  /** Of Rimward. */
  readonly version: string
  readonly seal: Seal
  readonly accountId: string
  readonly traces: Traces
  readonly output: ProgramOutput
  readonly locate: Locate
  readonly devices: Awaited<ReturnType<typeof readDevices>>
  /** Listeners of this process: programs do not reach these by their address. */
  readonly ownListeners: () => readonly Address[]
  readonly limits: Limits
  readonly clock: Clock
}

export interface Pop {
  readonly place: Place
  /** Absent where this is the only node. */
  readonly mesh: Mesh | undefined
  readonly log: Log
  readonly metrics: Metrics
  readonly stores: Stores
  /** Databases, buckets and the like, wherever they live. */
  readonly homed: HomedStores
  /** Tells programs of what is no request, wherever they may run. */
  readonly events: Pick<EventDelivery, 'deliver'>
  /** What programs may reach besides public addresses. */
  readonly rules: EgressRuleBook
  readonly engine: Engine
  /** Takes purges for all nodes. */
  readonly cache: { readonly purge: TakePurge }
  readonly purges: Pick<PlatformPurges, 'receipt' | 'standing' | 'ready'>
  /** What this machine lacks, a sentence each; the node runs without. */
  readonly lacks: readonly string[]
  readonly served: Snapshot
  origins(site: string): readonly OriginState[]
  /** What it serves is changed through here. */
  readonly follower: Follower
  /** What lies on this node's disk, and whose it is. */
  readonly audit: NodeAudit['audit']
  /** Opens the listeners; once, and after the first Snapshot. */
  listen(certificates: Certificates): Promise<Edge['addresses']>
  /** Undefined before `listen`. */
  readonly addresses: Edge['addresses'] | undefined
  /** Stops accepting and finishes what is in flight. */
  drain(): Promise<void>
  close(): Promise<void>
}

export type Stores = Awaited<ReturnType<typeof openStores>>
/** What changes while the node runs. */
export interface Live {
  snapshot: Snapshot
  engine: Engine | undefined
  edge: Edge | undefined
}
export interface Parts extends PopOptions {
  readonly closer: Closer
  readonly live: Live
  readonly diary: Log
  readonly metrics: Metrics
  readonly say: (message: string, facts?: object) => void
}

/** Rejects when a part cannot start; what had started by then is closed again. It does not listen yet. */
export function startPop(options: PopOptions): Promise<Pop> {
  return startWhole((closer) => start(options, closer))
}

async function start(options: PopOptions, closer: Closer): Promise<Pop> {
  const { folder, fabric, limits, clock, place } = options
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const diary = await openNodeLog(options)
  closer.add(() => diary.close())
  const live: Live = { snapshot: { revision: 0, sites: [], programs: new Map() }, engine: undefined, edge: undefined }
  const metrics = createMetrics({ limits, clock })
  const say = (message: string, facts: object = {}) => diary.logger.info(facts, message)
  const parts: Parts = { ...options, closer, live, diary, metrics, say }

  const stores = await openStores(parts)
  const rules = await createEgressRules({ fabric, limits, clock })
  closer.add(() => rules.close())
  const pops = openObjects({ ...parts, revision: () => live.snapshot.revision, log: say })
  const homed = createHomedStores({
    self: place.node,
    country: place.country,
    ...(pops && { pops }),
    snapshot: () => live.snapshot,
  })
  const ways = await openEgress({ ...parts, homed }, rules)
  const assets = createAssets({ blobs: fabric.blobs, limits })
  const snapshot = () => live.snapshot
  const engineNow: Pick<Engine, 'deliver'> = { deliver: (...event) => live.engine!.deliver(...event) }
  const events = createEventDelivery({ place, mesh: options.mesh, engine: engineNow, snapshot })
  closer.add(() => events.close())
  const homedHere = await openHomedStores({ ...parts, events }, homed)
  const traces = withTailConsumers({ ...options, snapshot, deliver: events.deliver, log: say })
  const { engine, lacks } = await openEngines({ ...parts, traces }, { ...stores, homed }, ways, assets, pops)
  live.engine = engine

  const residency = createNodeAudit({ ...options, store: ways.store, flushLog: () => diary.flush() })
  closer.add(() => residency.close())
  async function serve(snapshot: Snapshot): Promise<void> {
    await Promise.all([engine.adopt(snapshot), ways.words?.learn(snapshot)])
    const before = live.snapshot
    prepareSites(snapshot, before)
    live.snapshot = snapshot
    const { sites, programs } = onlyHere(snapshot, place.country)
    ways.health.adopt(sites, programs)
    await Promise.all([residency.follow(snapshot), stores.placeItems(snapshot.placements), homedHere.follow(snapshot)])
    // What this node served last it served with what it had.
    if (before.revision > 0 && (snapshot.erased ?? 0) > (before.erased ?? 0)) await fabric.clean?.()
  }
  const follower = createFollower({
    ...options,
    folder: join(folder, 'served'),
    serve,
    release: options.version,
    country: place.country,
    ...(options.copies && { bring: (blob) => fabric.blobs.get(blob) }),
    log: say,
  })
  closer.add(() => follower.close())
  const purgeByUrl = createPurgeByUrl({
    ...{ cache: ways.purges, snapshot, pop: popOf(place) },
    ...(options.mesh && { mesh: options.mesh }),
    ...(ways.words && { hide: ways.words.hide }),
  })
  closer.add(() => purgeByUrl.close())

  return {
    place,
    mesh: options.mesh,
    log: diary,
    metrics,
    stores,
    homed,
    events,
    rules,
    engine,
    cache: purgeByUrl,
    purges: ways.purges,
    lacks,
    get served() {
      return live.snapshot
    },
    get addresses() {
      return live.edge?.addresses
    },
    origins: (site) => ways.health.states(site),
    follower,
    audit: residency.audit,
    async listen(certificates) {
      const edge = await openEdge(parts, { ...ways, engine, assets, certificates })
      live.edge = edge
      closer.add(() => edge.close())
      return edge.addresses
    },
    drain: async () => live.edge?.drain(),
    close: () => closer.close(),
  }
}

/** What programs keep. Keys and values are merged between nodes; stores of items have one order, the fabric's. */
async function openStores({ fabric, replicas, seal, limits, clock, closer, place, say }: Parts) {
  const kv = createKvStores({ fabric: replicas ?? fabric, sweepsItself: replicas !== undefined, limits, clock })
  const report = (error: unknown) =>
    say('config, secret and access-list stores are not all where they stay', { err: error })
  const items = await openItemStores({ fabric, limits, clock, country: place.country, report })
  closer.add(() => items.close())
  return {
    kv,
    ...storesOver({ items, seal }),
    /** Never rejects: what cannot be moved now is reported, and moved with a later Snapshot. */
    placeItems: (placements: Snapshot['placements']) => items.place(placements).catch(report),
  }
}

export type Ways = Awaited<ReturnType<typeof openEgress>>

/** The way out: health of origins, the shared cache in front of them. */
async function openEgress(
  {
    folder,
    seal,
    live,
    limits,
    clock,
    say,
    metrics,
    closer,
    homed,
    ...options
  }: Parts & { readonly homed: HomedStores },
  rules: EgressRuleBook,
) {
  const waysOut = {
    rules,
    limits,
    clock,
    ownListeners: () => options.ownListeners().map(({ host, port }) => ({ address: host, port })),
  }
  const direct = createEgress({ ...waysOut, seal, ownSite: (host, path) => ownSite(live.snapshot, host, path) })
  const programAt = (host: string, path: string) => ownProgram(live.snapshot, host, path)
  const ownPrograms = { programAt, engine: () => live.engine!, limits }
  const isProgram = (site: string) => live.snapshot.programs.has(site)
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
    ownPool: (host, path) => ownPool(live.snapshot, host, path),
  })
  const stored = await createCacheStore({
    folder: join(folder, 'cache'),
    memoryBytes: limits.cacheMemoryBytes,
    diskBytes: limits.cacheDiskBytes,
    limits,
    clock,
    log: say,
  })
  await mkdir(join(folder, 'purges'), { recursive: true })
  const journal = await openPurgeJournal(join(folder, 'purges'))
  const { country } = options.place
  const siteWithin = (site: string) => placementsOf(live.snapshot)({ kind: 'site', id: site })
  const words =
    options.mesh && createPlacedWords({ fabric: options.fabric, seal, limits, country, withinOf: siteWithin })
  const store = keepStoreInside(stored, (scope) => isHere(live.snapshot, scope, country))
  const inside = keepEgressInside(pools, () => live.snapshot, country)
  const publicBuckets = { bucket: (id: string) => resourceOf(live.snapshot, 'bucket', id), homed }
  const next = withAnswerRules(withPublicBuckets(withOwnPrograms(inside, ownPrograms), publicBuckets))
  const { cache: egress, purges } = await openTieredCache({
    ...{ place: options.place, mesh: options.mesh, folder, next, store, journal },
    ...{ limits, clock, originAnswers, log: say, ...(words && { words }) },
    siteNamed: (name) => siteNamed(live.snapshot.sites, name),
  })
  closer.add(() => egress.close())
  closer.add(() => health.close())
  return { egress, purges, health, store, words, dialer: createDialer(waysOut) }
}

type EdgeParts = Ways & { engine: Engine; assets: ReturnType<typeof createAssets>; certificates: Certificates }

async function openEdge(parts: Parts, { egress, purges, engine, assets, certificates }: EdgeParts): Promise<Edge> {
  const { listen, live, diary, metrics, limits, clock, place, debug, locate, otlpEndpoint, token } = parts
  return createEdge({
    listen,
    snapshot: () => live.snapshot,
    engine,
    assets,
    programFirst,
    egress,
    purge: { purge: purges.purge, mayPurge: secretCheck(token) },
    certificates,
    log: diary,
    metrics,
    ...(otlpEndpoint && {
      traces: await createRequestTraces({ endpoint: otlpEndpoint, pop: popOf(place) }),
    }),
    limits,
    clock,
    pop: popOf(place),
    debug,
    locate,
    ...(parts.mesh && { mesh: parts.mesh }),
  })
}
