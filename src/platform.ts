/**
 * One running process: its nodes' data planes (`pop.ts`), the control plane and its API. Only the files of this folder wire
 * rooms together.
 */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Api, createApi } from '#/apis/api.ts'
import type { Members } from '#/apis/rimward/members.ts'
import { auditPlatform } from '#/audit/audit-platform.ts'
import { createAssetUploads } from '#/control/assets-uploads.ts'
import { createRollout } from '#/control/canary.ts'
import { type Control, type ControlDeps, createControl } from '#/control/control.ts'
import { findKvNamespace, finishKvRemovals } from '#/control/kv-namespaces.ts'
import { platformToken } from '#/control/platform-token.ts'
import { createProgramOutput } from '#/control/program-output.ts'
import { createTraces } from '#/control/traces.ts'
import { type Closer, startWhole } from '#/core/closer.ts'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import type { Mesh } from '#/core/mesh.ts'
import { allows, type CountryCode, type Place, type Within } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import { describeWithin } from '#/core/residency.ts'
import type { Address } from '#/edge/edge.ts'
import { joinRegistries } from '#/edge/join-registries.ts'
import { createLocate } from '#/edge/locate.ts'
import { readDevices } from '#/engines/compute/devices.ts'
import { isTrial } from '#/fabric/nats/connect.ts'
import { fabricByPlace, type NodeView } from '#/fabric/placed/fabric-by-place.ts'
import { withPlacedBlobs } from '#/fabric/placed/placed-blobs.ts'
import type { RunningMesh } from '#/mesh/mesh.ts'
import { listHomes } from '#/objects/list-homes.ts'
import { createClientKeys } from '#/stores/client-keys.ts'
import { itemsByPlace } from '#/stores/items-by-place.ts'
import { kvByPlace } from '#/stores/kv-by-place.ts'
import { storesOver } from '#/stores/program-stores.ts'
import { openSeal } from '#/stores/seal.ts'
import { listen, nth, type PopAddresses, urlOf, urlsOf } from './node-addresses.ts'
import { openCertificates } from './open-certificates.ts'
import { type JoinSetUp, joinNodes, membersOf, openNodeMesh } from './open-mesh.ts'
import { openNews } from './open-news.ts'
import {
  claimNode,
  copiesOf,
  nodeFolder,
  openFabrics,
  openNodeReplicas,
  platformId,
  readVersion,
} from './open-shared.ts'
import { type NodeOptions, type Pop, startPop } from './pop.ts'
import { openReports, startSchedules, startSweeping } from './start-upkeep.ts'

export interface PlatformOptions extends NodeOptions {
  /** Everything that must last; claimed by the caller. */
  readonly data: string
  /** Of the first node; the n-th listens on port + n - 1. Port 0 lets the kernel choose for each. */
  readonly http: Address
  readonly https?: Address
  readonly api: Address
  /** Other machines to share a platform with; absent: the embedded fabric. */
  readonly join?: JoinSetUp
  /** The PoP that was run alone on this folder before. */
  readonly ranAs?: string
  /** One or several, names differ. */
  readonly pops: readonly { readonly id: string; readonly country?: string }[]
  /** How a node of this process reaches the others; absent: all there are share this process and its fabric. */
  readonly meshOf?: (place: Place) => Mesh
}

export interface RunningPlatform {
  /** Of the first PoP, and the API's. */
  readonly addresses: PopAddresses & { readonly api: string }
  readonly pops: readonly (PopAddresses & { readonly id: string; readonly country: string })[]
  readonly accountId: string
  /** The administrator's: the platform's, where this process was not given its own. */
  readonly token: string
  /** What this machine lacks, a sentence each; the nodes run without. */
  readonly lacks: readonly string[]
  /** Stops accepting, finishes what is in flight, closes everything. */
  stop(): Promise<void>
}

/** Rejects when a part cannot start; what had started by then is closed again. */
export function startPlatform(options: PlatformOptions): Promise<RunningPlatform> {
  return startWhole((closer) => start(options, closer))
}

async function start(given: PlatformOptions, closer: Closer): Promise<RunningPlatform> {
  const shared = await openShared(given, closer)
  const isSet = given.join?.token !== undefined
  const token = given.join === undefined ? given.token : await platformToken({ ...shared, token: given.token, isSet })
  const options = { ...given, token }
  const pops = await startPops(options, shared, closer)
  const control = await openControl(shared, pops, closer)
  const desk = await openDesk(options, { ...shared, ...control }, pops, closer)
  await eachPop(pops, (pop) => pop.listen(desk.certificates))
  const running = { ...shared, ...desk, pops, ...control }
  const api = await openApi(options, running, closer)
  startSweeping(running, closer)
  startSchedules(running, closer)

  await eachPop(pops, (pop) => pop.purges.ready)
  const addresses = { ...urlsOf(pops[0]!), api }
  const { version } = shared
  for (const pop of pops)
    pop.log.logger.info({ ...urlsOf(pop), api, programs: pop.served.programs.size, version }, 'ready')
  return {
    addresses,
    pops: pops.map((pop) => ({ id: pop.place.pop, country: pop.place.country, ...urlsOf(pop) })),
    accountId: shared.accountId,
    token,
    lacks: [...new Set(pops.flatMap((pop) => pop.lacks))],
    async stop() {
      await eachPop(pops, (pop) => pop.drain())
      await closer.close()
    },
  }
}

type Shared = Awaited<ReturnType<typeof openShared>>

/** What the nodes of this process have in common. `fabric` is what the control plane works on: that of the first node. */
async function openShared(options: PlatformOptions, closer: Closer) {
  const { data } = options
  const limits = defaultLimits
  const clock = Date.now
  const fabrics = await openFabrics(options, closer)
  const { fabric } = fabrics[0]!
  const keyFile = join(data, 'secret.key')
  const wishes = options.pops.map(({ id, country = 'XX' }, index) => {
    return { folder: nodeFolder(options, id), pop: id, country, shared: fabrics[index]!.shared }
  })
  const places: readonly Place[] =
    options.join === undefined
      ? wishes.map(({ pop, country }) => ({ node: pop, pop, country }))
      : await joinNodes(wishes, options.join, { keyFile, limits, clock })
  if (options.join !== undefined)
    for (const [index, { node }] of places.entries()) await claimNode(fabrics[index]!.shared, node, closer)
  /** Where programs may run, once the control plane knows, and what moves keys of certificates along. */
  const placed = {
    withinOf: (_program: string): Within | undefined => undefined,
    moveKeys: async (): Promise<number> => 0,
  }
  const countries = options.pops.map(({ country = 'XX' }) => country)
  const withinOf = (program: string) => placed.withinOf(program)
  const residency = { within: withinOf, countries }
  const traces = createTraces({ fabric, clock, limits, residency })
  closer.add(() => traces.close())
  const seal = await openSeal({ keyFile })
  const blobsIn = (fabric: Fabric, where: readonly CountryCode[]) =>
    withPlacedBlobs(fabric, { seal, limits, clock, mayHold: (within) => where.some((one) => allows(within, one)) })
  const whole = fabrics.map((one, index) => ({ ...one, fabric: blobsIn(one.fabric, [countries[index]!]) }))
  const views = whole.map((one, index) => ({ fabric: one.fabric, country: countries[index]! }))
  /** Grows while the listeners open. */
  const listeners: (() => readonly Address[])[] = []
  return {
    limits,
    clock,
    // What one node may not read another may.
    fabric: blobsIn(fabricByPlace(views as [NodeView, ...NodeView[]]), countries),
    fabrics: whole,
    traces,
    withinOf,
    placed,
    listeners,
    version: await readVersion(),
    places,
    /** Where machines can join. */
    membership: { members: undefined as Members | undefined },
    seal,
    accountId: await platformId(fabric),
    output: createProgramOutput({ limits }),
    locate: await createLocate({ limit: limits.locatedAddresses, folder: join(data, 'geo') }),
    devices: await readDevices(join(data, 'devices.json'), limits),
  }
}

/** The node folder is the data folder where the process runs one node. */
async function startPops(options: PlatformOptions, shared: Shared, closer: Closer): Promise<readonly Pop[]> {
  const { debug, token, log, logged, otlpEndpoint } = options
  const node = { debug, token, log, ...(logged && { logged }), ...(otlpEndpoint && { otlpEndpoint }) }
  // Nodes of one process reach each other without a network.
  const meshes = createMemoryMeshes()
  const alone = options.pops.length === 1
  const starting = shared.places.map(async (place, index) => {
    const folder = nodeFolder(options, place.pop)
    let running: Pop | undefined
    const say = (message: string, facts: object = {}) => running?.log.logger.info(facts, message)
    const inMemory = options.meshOf?.(place) ?? (alone ? undefined : meshes.join(place))
    const joined = options.join && (await joinMesh(options, shared, index, { closer, say }))
    const mesh: Mesh | undefined = joined ?? inMemory
    const withinOf = (bucket: string) => running?.served.placements?.get(bucket.slice(bucket.indexOf('/') + 1))
    if (mesh !== undefined) shared.traces.join(mesh)
    const replicas = mesh && (await openNodeReplicas({ ...shared, withinOf, folder, mesh, closer, say }))
    const pop = await startPop({
      ...node,
      ...shared,
      place,
      fabric: shared.fabrics[index]!.fabric,
      copies: options.join !== undefined,
      folder,
      ...(mesh && { mesh }),
      ...(replicas && { replicas }),
      listen: { http: nth(options.http, index), ...(options.https && { https: nth(options.https, index) }) },
      ownListeners: () => shared.listeners.flatMap((listening) => listening()),
    })
    running = pop
    closer.add(() => pop.close())
    if (mesh !== undefined) closer.add(() => mesh.close())
    shared.listeners.push(() => Object.values(pop.addresses ?? {}))
    return pop
  })
  // Each has started or has not before anything is closed again.
  const started = await Promise.allSettled(starting)
  for (const one of started) if (one.status === 'rejected') throw one.reason
  return Promise.all(starting)
}

type Say = (message: string, facts?: object) => void

/** The n-th node's, beside the others of its process. */
async function joinMesh(
  options: PlatformOptions,
  common: Shared,
  index: number,
  given: { readonly closer: Closer; readonly say: Say },
): Promise<RunningMesh> {
  const { nats, mesh: listen, dial } = options.join!
  const place = common.places[index]!
  const { shared } = common.fabrics[index]!
  const mesh = await openNodeMesh({
    ...{ ...common, ...given, shared, place, token: options.token },
    folder: nodeFolder(options, place.pop),
    listen: nth(listen, index),
    open: isTrial(nats),
    ...(dial && { dial }),
  })
  if (index === 0) common.membership.members = membersOf(mesh, shared, common)
  return mesh
}

/** A change in, a new Snapshot out: the nodes serve what they served last, then what the control plane knows. */
async function openControl(shared: Shared, pops: readonly Pop[], closer: Closer) {
  const { fabric, limits, clock } = shared
  const [first] = pops as [Pop]
  await eachPop(pops, (pop) => pop.follower.start())
  const nodes = pops.map(({ place, follower, metrics }) => ({ pop: place.pop, follower, counts: metrics.totals }))
  const by = pops.map(({ place }) => place.node).join(',')
  const handed = openNews(pops, { ...shared, by }, closer)
  const peers = () => first.mesh?.peers() ?? []
  const rollout = createRollout({ fabric, nodes, elsewhere: () => peers().map(({ pop }) => pop), limits, clock, pause })
  const follow: NonNullable<ControlDeps['follow']> = (snapshot, { isPartial = false } = {}) =>
    eachPop(pops, async (pop) => {
      if (!isPartial || pop.follower.status().revision === 0) await pop.follower.follow(snapshot)
    })
  const items = itemsByPlace(pops.map(({ stores }) => stores.items))
  const control: Control = await createControl({
    ...shared,
    engine: {
      async prove(program, deployment) {
        // A program that is started for its proof runs, too.
        const within = control.withinOf(program.name)
        handed[0]?.hand(deployment, within)
        const prover = pops.find(({ place }) => allows(within, place.country))
        if (prover !== undefined) return prover.engine.prove(program, deployment)
        const message = `No node of this platform is where ${program.name} may run: ${describeWithin(within)}.`
        return { ok: false, message }
      },
      forget: (objects) => eachPop(pops, (pop) => pop.engine.forget(objects)),
    },
    homesOf: (key, id) => listHomes(fabric, key, id),
    alsoInUse: () => first.stores.kv.blobsInUse(),
    moveKeys: () => shared.placed.moveKeys(),
    hasStore: async (store) => (await findKvNamespace(fabric, store)) !== undefined,
    hasSecret: (store, secret) => items.items('secret', store)?.has(secret) === true,
    adopt: rollout.adopt,
    follow,
    places: () => [...pops.map(({ place }) => place), ...peers()],
    by,
    log: (message, error) => first.log.logger.error({ err: error }, message),
  })
  closer.add(() => control.close())
  shared.placed.withinOf = control.withinOf
  await finishKvRemovals({ fabric, kv: kvOf(control, pops), limits, clock }).catch((error) =>
    first.log.logger.error({ err: error }, 'namespaces that were removed have keys still'),
  )
  for (const problem of control.problems) first.log.logger.error({ problem }, 'a record was left out')
  for (const { follower } of pops) {
    const { revision, failure } = follower.status()
    if (failure !== undefined && revision === 0) throw new Error(failure.reason)
  }
  control.onSnapshot((snapshot) => void follow(snapshot))
  return { control, rollout }
}

/** Each namespace at a node of this process that may hold it. */
function kvOf(control: Control, pops: readonly Pop[]) {
  return kvByPlace((store) => {
    const within = control.snapshot.placements?.get(store)
    const holder = pops.find(({ place }) => allows(within, place.country))
    if (holder !== undefined) return holder.stores.kv
    throw new EdgeError('not_here', `${store} stays in ${describeWithin(within)}: ask a node that is there.`)
  })
}

/** What the API offers beside the control plane. */
async function openDesk(
  { data }: PlatformOptions,
  parts: Shared & { readonly control: Control },
  pops: readonly Pop[],
  closer: Closer,
) {
  const uploads = await createAssetUploads({ ...parts, upToDate: parts.control.upToDate })
  closer.add(() => uploads.close())
  return { uploads, certificates: await openCertificates({ ...parts, folder: data, pops }, closer) }
}

/** All that a started platform is made of. */
export type Running = Shared &
  Awaited<ReturnType<typeof openDesk>> &
  Awaited<ReturnType<typeof openControl>> & { readonly pops: readonly Pop[] }

/** Returns the API's URL. */
async function openApi(options: PlatformOptions, running: Running, closer: Closer): Promise<string> {
  const { pops, control, limits, clock, output, listeners, seal } = running
  const [first] = pops as [Pop]
  const items = itemsByPlace(pops.map(({ stores }) => stores.items))
  const kv = kvOf(control, pops)
  let url = ''
  const api: Api = createApi({
    ...running,
    kv,
    compute: { ...storesOver({ items, seal }), clientKeys: createClientKeys({ limits, clock }), output },
    homed: first.homed,
    rules: first.rules,
    cache: first.cache,
    receipt: (id) => first.purges.receipt(id),
    standings: () => pops.map(({ place, purges }) => ({ node: place.node, ...purges.standing() })),
    metrics: { registry: joinRegistries(pops.map(({ place, metrics }) => ({ pop: place.pop, ...metrics }))) },
    stats: pops.map(({ place, metrics }) => ({ pop: place.pop, counts: metrics.counts })),
    origins: (site) => first.origins(site),
    token: options.token,
    pop: first.place.pop,
    addresses: () => ({ ...urlsOf(first), api: url }),
    nodes: openReports(running, closer),
    copies: () => copiesOf(running.fabrics),
    ownNodes: () => pops.map(({ place, follower }) => ({ node: place.node, status: follower.status() })),
    dataPlane: { http: first.addresses!.http, https: first.addresses!.https },
    members: running.membership.members,
    ...(options.join && { meshes: pops.flatMap(({ mesh }) => mesh ?? []) }),
    audit: () =>
      auditPlatform({
        ...running,
        fabric: running.fabrics[0]!,
        folder: options.data,
        snapshot: running.control.snapshot,
      }),
    log: (message, error) => first.log.logger.error({ err: error }, message),
  })
  closer.add(() => api.close())
  const address = await listen(api.server, options.api)
  listeners.push(() => [address])
  url = urlOf('http', address)
  return url
}

/** Rejects once all are done, with what the first failure was. */
async function eachPop(pops: readonly Pop[], work: (pop: Pop) => Promise<unknown>): Promise<void> {
  for (const done of await Promise.allSettled(pops.map(work))) if (done.status === 'rejected') throw done.reason
}
