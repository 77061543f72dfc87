/** The control port: every door on one HTTP server. Cloudflare's below `/client/v4`, our own and Fastly's beside it, tails by upgrade. */
import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { createCloudflareApi } from '#/apis/cloudflare/app.ts'
import { assetRoutes, resolveAssetsWith } from '#/apis/cloudflare/assets.ts'
import { allD1Routes } from '#/apis/cloudflare/d1-all.ts'
import { dispatchRoutes } from '#/apis/cloudflare/dispatch.ts'
import { hyperdriveRoutes } from '#/apis/cloudflare/hyperdrive.ts'
import { kvRoutes } from '#/apis/cloudflare/kv.ts'
import { mtlsCertificateRoutes } from '#/apis/cloudflare/mtls-certificates.ts'
import { purgeRoutes } from '#/apis/cloudflare/purge.ts'
import { queueRoutes } from '#/apis/cloudflare/queues.ts'
import { r2Routes } from '#/apis/cloudflare/r2.ts'
import { secretsStoreRoutes } from '#/apis/cloudflare/secrets-store.ts'
import { createTails } from '#/apis/cloudflare/tails.ts'
import { workflowRoutes } from '#/apis/cloudflare/workflows.ts'
import { createFastlyApi } from '#/apis/fastly/app.ts'
import type { ComputeDeps, FastlyApiDeps } from '#/apis/fastly/deps.ts'
import { type Answer, type HandOverOptions, handOverCalls } from '#/apis/hand-over.ts'
import { createRimwardApi } from '#/apis/rimward/app.ts'
import { certificateRoutes } from '#/apis/rimward/certificates.ts'
import { viewControl } from '#/apis/rimward/control-view.ts'
import { egressRoutes } from '#/apis/rimward/egress.ts'
import { type Members, memberRoutes } from '#/apis/rimward/members.ts'
import { changesCheck, nodeChecks, viewNodes } from '#/apis/rimward/node-views.ts'
import { withOutput } from '#/apis/rimward/output-traces.ts'
import { ownPurgeRoutes } from '#/apis/rimward/purge.ts'
import { residencyRoutes } from '#/apis/rimward/residency.ts'
import type { Addresses, Check, CopiesView } from '#/apis/rimward/schemas.ts'
import { createBucketBook } from '#/apis/s3/bucket-book.ts'
import { s3Handler } from '#/apis/s3/handler.ts'
import type { AssetUploads } from '#/control/assets-uploads.ts'
import type { Rollout } from '#/control/canary.ts'
import type { CertificateBook } from '#/control/certificates/certificates.ts'
import type { Control } from '#/control/control.ts'
import type { EgressRuleBook } from '#/control/egress-rules.ts'
import type { FollowerStatus } from '#/control/follower.ts'
import { listKvNamespaces } from '#/control/kv-namespaces.ts'
import type { NodeReports } from '#/control/node-reports.ts'
import type { LiveTraces } from '#/control/traces.ts'
import { accessKeysOf } from '#/core/access-keys.ts'
import type { AuditReport } from '#/core/holdings.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { OriginState } from '#/core/origin.ts'
import type { NodeId } from '#/core/pops.ts'
import type { Fabric, KvStores, Seal } from '#/core/ports.ts'
import type { PurgeReceipt, PurgeStanding, TakePurge } from '#/core/tiers.ts'
import type { Clock } from '#/core/units.ts'
import { analyticsRoutes } from './cloudflare/analytics.ts'

export interface ApiOptions {
  readonly control: Control
  readonly kv: KvStores
  readonly homed: HomedStores
  readonly compute: Omit<ComputeDeps, 'kv'>
  readonly fabric: Fabric
  readonly traces: LiveTraces
  readonly uploads: AssetUploads
  readonly rules: EgressRuleBook
  readonly cache: { readonly purge: TakePurge }
  readonly receipt: (id: string) => Promise<PurgeReceipt | undefined>
  /** Of each node of this process: does it know what was purged elsewhere? */
  readonly standings: () => readonly (PurgeStanding & { readonly node: NodeId })[]
  readonly certificates: CertificateBook
  /** Absent where all nodes are in this process. */
  readonly members?: Members | undefined
  /** Looks at what every reachable node holds. */
  readonly audit: () => Promise<AuditReport>
  readonly metrics: { readonly registry: { readonly contentType: string; metrics(): Promise<string> } }
  readonly stats: FastlyApiDeps['stats']
  /** What is known here of a site's origins. */
  readonly origins: (site: string) => readonly OriginState[]
  readonly seal: Seal
  readonly token: string
  readonly accountId: string
  readonly version: string
  readonly pop: string
  readonly addresses: () => Addresses
  /** What is known of all nodes. */
  readonly nodes: Pick<NodeReports, 'all'>
  /** Of what the nodes share, on other servers. */
  readonly copies: () => Promise<readonly CopiesView[]>
  /** Those of this process. */
  readonly ownNodes: () => readonly { readonly node: string; readonly status: FollowerStatus }[]
  readonly rollout: Pick<Rollout, 'setting' | 'set'>
  readonly dataPlane: {
    readonly http: { readonly port: number }
    readonly https: { readonly port: number } | undefined
  }
  /** Of the nodes of this process; absent: there are no others. */
  readonly meshes?: HandOverOptions['meshes']
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (message: string, error: unknown) => void
}

export interface Api {
  /** Not listening yet. */
  readonly server: Server
  close(): Promise<void>
}

/** Only where there is something to say: a node that is cut off goes on alone, one that catches up takes no traffic yet. */
function purgeCheck({ node, state, behind, away }: PurgeStanding & { readonly node: NodeId }): Check[] {
  if (state === 'ready') return []
  const ready = state === 'alone'
  const others = ready ? away.map((one) => one.node) : behind
  const reason = ready ? 'goes on alone; out of reach' : 'learns what was purged meanwhile from'
  return [{ name: `purges at ${node}`, ready, reason: `${reason}: ${others.join(', ') || 'nobody yet'}` }]
}

export function createApi(options: ApiOptions): Api {
  const { control, cache, fabric, traces, limits, clock, token, accountId, dataPlane } = options
  const tails = createTails({
    traces,
    fabric,
    clock,
    limits,
    hasProgram: (name) => control.findProgram(name) !== undefined,
  })
  const resolveAssets = resolveAssetsWith(options.uploads)
  const cloudflare = createCloudflareApi({
    control,
    kvRoutes: kvRoutes({ kv: options.kv, fabric, limits, clock }),
    bindingRoutes: [
      allD1Routes({ control, homed: options.homed, token, limits, clock }),
      r2Routes({ control, homed: options.homed, limits, clock }),
      queueRoutes({ control, homed: options.homed, limits, clock }),
      dispatchRoutes({ control, limits, clock, resolveAssets, uploads: options.uploads }),
      analyticsRoutes({ control, homed: options.homed, limits, clock }),
      workflowRoutes({ control, homed: options.homed, limits }),
      secretsStoreRoutes({ ...options.compute, limits, accountId }),
      hyperdriveRoutes({ control, seal: options.seal, limits }),
      mtlsCertificateRoutes({ control, seal: options.seal, limits }),
    ],
    assetsRoutes: assetRoutes({ uploads: options.uploads, limits }),
    tailsRoutes: tails.routes,
    purgeRoutes: purgeRoutes({ control, cache, limits }),
    resolveAssets,
    token,
    accountId,
    dataPlane: { httpPort: dataPlane.http.port, ...(dataPlane.https && { httpsPort: dataPlane.https.port }) },
    limits,
    clock,
    log: options.log,
  })
  const own = createRimwardApi({
    control: viewControl(control),
    traces: withOutput(traces, options.compute.output),
    origins: options.origins,
    egressRules: egressRoutes({ rules: options.rules }),
    certificates: certificateRoutes({ certificates: options.certificates, limits }),
    purge: ownPurgeRoutes({ control, cache, receipt: options.receipt, limits }),
    members: memberRoutes(options.members),
    residency: residencyRoutes({ control, stores: () => knownStores(options), audit: options.audit }),
    metrics: options.metrics.registry,
    token,
    info: {
      version: options.version,
      pop: options.pop,
      accountId,
      startedAt: clock(),
      addresses: options.addresses,
      pops: () => viewNodes(options.nodes.all(), control.snapshot.revision, clock(), limits),
      copies: options.copies,
      rollout: options.rollout,
      checks: () => [
        ...nodeChecks(options.ownNodes()),
        ...changesCheck(control),
        ...options.standings().flatMap(purgeCheck),
      ],
    },
    clock,
    limits,
    log: options.log,
  })
  const fastly = createFastlyApi({
    control,
    compute: { kv: options.kv, ...options.compute },
    fabric,
    cache,
    stats: options.stats,
    token,
    accountId,
    limits,
    clock,
    log: options.log,
  })
  const s3 = s3Handler({
    keys: accessKeysOf(token),
    buckets: (jurisdiction) => createBucketBook({ control, homed: options.homed }, jurisdiction),
    ...{ limits, clock, log: options.log },
  })
  // Fastly's door answers every path that is left, so it comes last.
  const doors = new Hono().route('/client/v4', cloudflare).route('/', own).route('/', fastly)
  const handing = handOverCalls({
    ...options,
    meshes: options.meshes ?? [],
    withinOfChain: (chain) => options.certificates.withinOfChain(chain),
    firstPop: async () => (await options.rollout.setting())?.pop,
    answer: doors.fetch as Answer,
  })
  const answer = getRequestListener(handing.answer as typeof doors.fetch)
  // An upload of 5 GiB takes as long as it takes.
  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    if (!s3(request, response)) void answer(request, response)
  })
  server.on('upgrade', (request, socket, head) => {
    if (!tails.upgradeTail(request, socket, head)) socket.destroy()
  })
  return {
    server,
    async close() {
      tails.close()
      handing.close()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

async function knownStores({ fabric, compute, control }: ApiOptions) {
  const resources = (['sql', 'bucket', 'queue', 'workflow', 'dataset', 'server', 'certificate'] as const).flatMap(
    (kind) => control.resources(kind).map(({ id, name }) => ({ kind, id, name })),
  )
  const spaces = await listKvNamespaces(fabric)
  const items = (['config', 'secret', 'access-list'] as const).flatMap((kind) => compute.items.all(kind))
  return [
    ...spaces.map(({ id, title }) => ({ kind: 'kv' as const, id, name: title })),
    ...items.map(({ kind, id, name }) => ({ kind, id, name })),
    ...resources,
  ]
}
