/**
 * One running process: the fabric, a data plane for each of its nodes (`pop.ts`), the control plane and its API. These two
 * are the only files that wire rooms together.
 */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type Api, createApi } from '#/apis/api.ts'
import { lookApart } from '#/audit/look-apart.ts'
import { createAssetUploads } from '#/control/assets-uploads.ts'
import { createCertificates } from '#/control/certificates/certificates.ts'
import { type Control, createControl } from '#/control/control.ts'
import { findKvNamespace, finishKvRemovals } from '#/control/kv-namespaces.ts'
import { createProgramOutput } from '#/control/program-output.ts'
import { createTraces } from '#/control/traces.ts'
import { createCloser } from '#/core/closer.ts'
import { EdgeError } from '#/core/errors.ts'
import { judgeHoldings } from '#/core/holdings.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import type { Mesh } from '#/core/mesh.ts'
import { allows, type Place, type Within } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import { describeWithin } from '#/core/residency.ts'
import type { Address } from '#/edge/edge.ts'
import { joinRegistries } from '#/edge/join-registries.ts'
import { createLocate } from '#/edge/locate.ts'
import { readDevices } from '#/engines/compute/devices.ts'
import { openBlobs } from '#/fabric/sqlite/blobs.ts'
import { openSqliteFabric } from '#/fabric/sqlite/fabric.ts'
import { openGroupCommit } from '#/fabric/sqlite/group-commit.ts'
import { openReader } from '#/fabric/sqlite/reader.ts'
import { openReplicas, type Replicas } from '#/replication/replicas.ts'
import { createClientKeys } from '#/stores/client-keys.ts'
import { blobOf } from '#/stores/kv.ts'
import { kvByPlace } from '#/stores/kv-by-place.ts'
import { openSeal } from '#/stores/seal.ts'
import { type NodeOptions, type Pop, startPop } from './pop.ts'

export interface PlatformOptions extends NodeOptions {
  /** Everything that must last; claimed by the caller. */
  readonly data: string
  /** Of the first node; the n-th listens on port + n - 1. Port 0 lets the kernel choose for each. */
  readonly http: Address
  readonly https?: Address
  readonly api: Address
  /** One or several, names differ. */
  readonly pops: readonly { readonly id: string; readonly country?: string }[]
  /** How a node of this process reaches the others; absent: all there are share this process and its fabric. */
  readonly meshOf?: (place: Place) => Mesh
}

/** URLs, without a slash at the end. */
export interface PopAddresses {
  readonly http: string
  readonly https?: string
}

export interface RunningPlatform {
  /** Of the first PoP, and the API's. */
  readonly addresses: PopAddresses & { readonly api: string }
  readonly pops: readonly (PopAddresses & { readonly id: string; readonly country: string })[]
  readonly accountId: string
  /** What this machine lacks, a sentence each; the nodes run without. */
  readonly lacks: readonly string[]
  /** Stops accepting, finishes what is in flight, closes everything. */
  stop(): Promise<void>
}

/** Rejects when a part cannot start; what had started by then is closed again. */
export async function startPlatform(options: PlatformOptions): Promise<RunningPlatform> {
  const closer = createCloser()
  try {
    return await start(options, closer)
  } catch (error) {
    await closer.close().catch(() => {})
    throw error
  }
}

type Closer = ReturnType<typeof createCloser>

async function start(options: PlatformOptions, closer: Closer): Promise<RunningPlatform> {
  const shared = await openShared(options, closer)
  const pops = await startPops(options, shared, closer)
  const control = await openControl(shared, pops, closer)
  const desk = await openDesk(options, shared, pops, closer)
  await eachPop(pops, (pop) => pop.listen(desk.certificates))
  const api = await openApi(options, { ...shared, ...desk, pops, control }, closer)
  startSweeping({ ...shared, ...desk, pops, control }, closer)

  const addresses = { ...urlsOf(pops[0]!), api }
  const { version } = shared
  for (const pop of pops)
    pop.log.logger.info({ ...urlsOf(pop), api, programs: pop.served.programs.size, version }, 'ready')
  return {
    addresses,
    pops: pops.map((pop) => ({ id: pop.place.pop, country: pop.place.country, ...urlsOf(pop) })),
    accountId: shared.accountId,
    lacks: [...new Set(pops.flatMap((pop) => pop.lacks))],
    async stop() {
      await eachPop(pops, (pop) => pop.drain())
      await closer.close()
    },
  }
}

type Shared = Awaited<ReturnType<typeof openShared>>

/** What the nodes of this process have in common. */
async function openShared({ data, pops }: PlatformOptions, closer: Closer) {
  const limits = defaultLimits
  const clock = Date.now
  const fabric = await openSqliteFabric({ folder: join(data, 'fabric'), clock, limits })
  closer.add(() => fabric.close())
  /** Where programs may run, once the control plane knows. */
  const placed: { withinOf: (program: string) => Within | undefined } = { withinOf: () => undefined }
  const countries = pops.map(({ country = 'XX' }) => country)
  const residency = { within: (program: string) => placed.withinOf(program), countries }
  const traces = createTraces({ fabric, clock, limits, residency })
  closer.add(() => traces.close())
  /** Grows while the listeners open. */
  const listeners: (() => readonly Address[])[] = []
  return {
    limits,
    clock,
    fabric,
    traces,
    placed,
    listeners,
    version: await readVersion(),
    seal: await openSeal({ keyFile: join(data, 'secret.key') }),
    accountId: await platformId(fabric),
    output: createProgramOutput({ limits }),
    locate: await createLocate({ limit: limits.locatedAddresses, folder: join(data, 'geo') }),
    devices: await readDevices(join(data, 'devices.json'), limits),
  }
}

/** The node folder is the data folder where the process runs one node. */
async function startPops(options: PlatformOptions, shared: Shared, closer: Closer): Promise<readonly Pop[]> {
  const { data, debug, token, log, logged, otlpEndpoint } = options
  const node = { debug, token, log, ...(logged && { logged }), ...(otlpEndpoint && { otlpEndpoint }) }
  const alone = options.pops.length === 1
  // Nodes of one process reach each other without a network.
  const meshes = createMemoryMeshes()
  const starting = options.pops.map(async ({ id, country = 'XX' }, index) => {
    const place: Place = { node: id, pop: id, country }
    const folder = alone ? data : join(data, 'pops', id)
    const mesh = options.meshOf?.(place) ?? (alone ? undefined : meshes.join(place))
    let running: Pop | undefined
    const say = (message: string, facts: object = {}) => running?.log.logger.info(facts, message)
    const withinOf = (bucket: string) => running?.served.placements?.get(bucket.slice(bucket.indexOf('/') + 1))
    const replicas = mesh && (await openNodeReplicas({ ...shared, withinOf, folder, mesh, closer, say }))
    const pop = await startPop({
      ...node,
      ...shared,
      place,
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

interface ReplicaParts extends Pick<Shared, 'limits' | 'clock'> {
  /** The countries that may hold a bucket of the stores. */
  readonly withinOf: (bucket: string) => Within | undefined
  readonly folder: string
  readonly mesh: Mesh
  readonly closer: Closer
  readonly say: (message: string, facts?: object) => void
}

/** What a node merges with others lies in a folder of its own, its blobs too. */
async function openNodeReplicas({ withinOf, mesh, closer, say, ...parts }: ReplicaParts): Promise<Replicas> {
  const { limits, clock } = parts
  const folder = join(parts.folder, 'replicas')
  const replicas = await openReplicas({
    folder,
    mesh,
    blobs: await openBlobs({ folder: join(folder, 'blobs'), clock, limits }),
    clock,
    monotonic: () => performance.now(),
    limits,
    log: say,
    withinOf,
    placedLater: true,
    blobOf,
    openGroupCommit,
    openReader,
  })
  closer.add(() => replicas.close())
  const failed = (error: unknown) => say('sweeping replicated blobs failed', { err: error })
  const sweeping = setInterval(() => replicas.sweepBlobs().catch(failed), limits.blobSweepMs)
  sweeping.unref()
  closer.add(() => clearInterval(sweeping))
  return replicas
}

/** A change in, a new Snapshot out. */
async function openControl(shared: Shared, pops: readonly Pop[], closer: Closer) {
  const { fabric, limits, clock } = shared
  const [first] = pops as [Pop]
  const control: Control = await createControl({
    ...shared,
    engine: {
      async prove(program, deployment) {
        // A program that is started for its proof runs, too.
        const within = control.withinOf(program.name)
        const prover = pops.find(({ place }) => allows(within, place.country))
        if (prover !== undefined) return prover.engine.prove(program, deployment)
        const message = `No node of this platform is where ${program.name} may run: ${describeWithin(within)}.`
        return { ok: false, message }
      },
      forget: (objects) => eachPop(pops, (pop) => pop.engine.forget(objects)),
    },
    hasStore: async (store) => (await findKvNamespace(fabric, store)) !== undefined,
    adopt: (snapshot) => eachPop(pops, (pop) => pop.adopt(snapshot)),
    places: () => pops.map(({ place }) => place),
    by: pops.map(({ place }) => place.node).join(','),
    log: (message, error) => first.log.logger.error({ err: error }, message),
  })
  closer.add(() => control.close())
  shared.placed.withinOf = control.withinOf
  await finishKvRemovals({ fabric, kv: kvOf(control, pops), limits, clock })
  for (const problem of control.problems) first.log.logger.error({ problem }, 'a record was left out')
  return control
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
async function openDesk({ data }: PlatformOptions, shared: Shared, [first]: readonly Pop[], closer: Closer) {
  const uploads = await createAssetUploads(shared)
  closer.add(() => uploads.close())
  const certificates = await createCertificates({
    ...shared,
    folder: data,
    log: first!.log.logger,
    sitesHostnames: () => first!.served.sites.flatMap((site) => site.hostnames),
  })
  closer.add(() => certificates.close())
  return { uploads, certificates }
}

type Running = Shared &
  Awaited<ReturnType<typeof openDesk>> & {
    readonly pops: readonly Pop[]
    readonly control: Awaited<ReturnType<typeof openControl>>
  }

/** Returns the API's URL. */
async function openApi(options: PlatformOptions, running: Running, closer: Closer): Promise<string> {
  const { pops, control, limits, clock, output, listeners } = running
  const [first] = pops as [Pop]
  const { items, secrets, accessLists } = first.stores
  const kv = kvOf(control, pops)
  let url = ''
  const api: Api = createApi({
    ...running,
    kv,
    compute: { items, secrets, accessLists, clientKeys: createClientKeys({ limits, clock }), output },
    rules: first.rules,
    cache: first.cache,
    receipt: (id) => first.purges.receipt(id),
    metrics: { registry: joinRegistries(pops.map(({ place, metrics }) => ({ pop: place.pop, ...metrics }))) },
    origins: (site) => first.origins(site),
    token: options.token,
    pop: first.place.pop,
    addresses: () => ({ ...urlsOf(first), api: url }),
    pops: () => pops.map((pop) => ({ ...pop.place, ...urlsOf(pop), revision: pop.served.revision })),
    dataPlane: { http: first.addresses!.http, https: first.addresses!.https },
    audit: () => audit(options, running),
    log: (message, error) => first.log.logger.error({ err: error }, message),
  })
  closer.add(() => api.close())
  const address = await listen(api.server, options.api)
  listeners.push(() => [address])
  url = urlOf('http', address)
  return url
}

/** Every node looks at its own folder; what several of this process share is looked at once. */
async function audit({ data }: PlatformOptions, running: Running) {
  const { pops, control } = running
  const here = await Promise.all(pops.map((pop) => pop.audit()))
  const folders = pops.length === 1 ? [] : [await auditShared(data, running)]
  return judgeHoldings(control.snapshot, [...here, ...folders], [])
}

async function auditShared(data: string, { pops, limits }: Running) {
  const countries = [...new Set(pops.map(({ place }) => place.country))]
  return {
    node: 'shared',
    pop: 'shared',
    countries,
    ...(await lookApart(data, { except: [join(data, 'pops')], limits })),
  }
}

function startSweeping({ control, pops, uploads, limits }: Running, closer: Closer): void {
  const [first] = pops as [Pop]
  const sweeping = setInterval(() => {
    control
      .sweep(async function* () {
        yield* first.stores.kv.blobsInUse()
        yield* uploads.inUse()
      })
      .catch((error) => first.log.logger.error({ err: error }, 'sweeping blobs failed'))
  }, limits.blobSweepMs)
  sweeping.unref()
  closer.add(() => clearInterval(sweeping))
}

/** Rejects once all are done, with what the first failure was. */
async function eachPop(pops: readonly Pop[], work: (pop: Pop) => Promise<unknown>): Promise<void> {
  for (const done of await Promise.allSettled(pops.map(work))) if (done.status === 'rejected') throw done.reason
}

async function readVersion(): Promise<string> {
  const file = await readFile(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(file) as { version: string }).version
}

/** The platform's own id, which wrangler calls the account: made once, 32 hex digits. */
async function platformId(fabric: Fabric): Promise<string> {
  const bucket = fabric.bucket('platform')
  await bucket.put('id', randomBytes(16), { expect: 0 })
  return Buffer.from((await bucket.get('id'))!.value).toString('hex')
}

function nth({ host, port }: Address, index: number): Address {
  return { host, port: port === 0 ? 0 : port + index }
}

function urlsOf({ addresses }: Pop): PopAddresses {
  const { http, https } = addresses!
  return { http: urlOf('http', http), ...(https && { https: urlOf('https', https) }) }
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
