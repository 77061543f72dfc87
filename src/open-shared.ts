/** How the nodes of a process reach what they share with others: the fabric, or a copy of it, and their replicas. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { claimName } from '#/control/node-reports.ts'
import type { Closer } from '#/core/closer.ts'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { CountryCode, Within } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import { openCopiedFabric } from '#/fabric/copied/fabric.ts'
import { openLateFabric } from '#/fabric/copied/late-fabric.ts'
import { isTrial } from '#/fabric/nats/connect.ts'
import { type NatsFabric, openNatsFabric } from '#/fabric/nats/fabric.ts'
import { createPlacedFabrics } from '#/fabric/placed/fabric.ts'
import { openBlobs } from '#/fabric/sqlite/blobs.ts'
import { openSqliteFabric } from '#/fabric/sqlite/fabric.ts'
import { openGroupCommit } from '#/fabric/sqlite/group-commit.ts'
import { openReader } from '#/fabric/sqlite/reader.ts'
import { openReplicas, type Replicas } from '#/replication/replicas.ts'
import { blobOf } from '#/stores/kv.ts'

import type { JoinSetUp } from './open-mesh.ts'

type ReplicasOptions = Parameters<typeof openReplicas>[0]

export interface FabricOptions {
  readonly data: string
  /** Absent: the embedded fabric. */
  readonly join?: JoinSetUp
  readonly pops: readonly { readonly id: string; readonly country?: CountryCode }[]
  /** The PoP that was run alone on this folder before. */
  readonly ranAs?: string
}

export interface NodeFabric {
  /** What the node works on: the embedded one, or its copy of what is shared. */
  readonly fabric: Fabric
  /** Where all nodes look, past every copy. */
  readonly shared: Fabric
  /** What lies in which stream of NATS, where there is one. */
  readonly streams?: NatsFabric['streams']
  /** Which copies of them are current. */
  readonly copies?: NatsFabric['copies']
}

/** One for each node: the embedded one for all of them, or, where they joined a platform, a copy each of what is shared. */
export async function openFabrics(options: FabricOptions, closer: Closer): Promise<readonly NodeFabric[]> {
  const { data, join: joined, pops } = options
  await arrangeFolders(options, options.ranAs)
  const clock = Date.now
  const limits = defaultLimits
  if (joined === undefined) {
    const fabric = await openSqliteFabric({ folder: join(data, 'fabric'), clock, limits })
    closer.add(() => fabric.close())
    const placed = createPlacedFabrics({
      shared: fabric,
      nodes: pops.map(({ id, country = 'XX' }) => ({ id, country, folder: nodeFolder(options, id) })),
      open: (folder) => openSqliteFabric({ folder, clock, limits }),
      report: (error) => process.emitWarning(`What stays in its countries: ${(error as Error).message}`),
    })
    closer.add(() => placed.close())
    return placed.fabrics.map((one) => ({ fabric: one, shared: fabric }))
  }
  const opened: NodeFabric[] = []
  const countries = pops.flatMap(({ country }) => country ?? [])
  for (const { id, country } of pops) {
    const report = (error: unknown) => process.emitWarning(`Node ${id}: ${(error as Error).message}`)
    const nats = {
      ...{ ...joined.nats, clock, limits, report },
      ...(country !== undefined && { country }),
      // A server on this machine lies where its nodes do.
      ...(isTrial(joined.nats) && countries.length > 0 && { serversWithin: countries }),
    }
    let reached: NatsFabric | undefined
    const open = async () => {
      reached = await openNatsFabric(nats)
      return reached
    }
    const shared = await openLateFabric({ open, retryMs: limits.fabricRetryMs, report })
    closer.add(() => shared.close())
    // A value of the copy has its revision in front.
    const larger = { ...limits, fabricValueBytes: limits.fabricValueBytes + 64 }
    const copy = await openSqliteFabric({ folder: join(nodeFolder(options, id), 'copy'), clock, limits: larger })
    const fabric = await openCopiedFabric({ shared, copy, report })
    closer.add(() => fabric.close())
    opened.push({
      fabric,
      shared,
      streams: async () => here(reached).streams(),
      copies: async () => here(reached).copies(),
    })
  }
  return opened
}

/** Each stream once, as the nodes of this process may see it; none on the embedded fabric. */
export async function copiesOf(fabrics: readonly Pick<NodeFabric, 'copies'>[]): ReturnType<NatsFabric['copies']> {
  const told = await Promise.all(fabrics.flatMap(({ copies }) => copies?.() ?? []))
  return [...new Map(told.flat().map((one) => [one.stream, one])).values()]
}

function here(fabric: NatsFabric | undefined): NatsFabric {
  if (fabric !== undefined) return fabric
  throw new EdgeError('fabric_away', 'What the nodes share has not been reached yet.')
}

/** Rejects when a node of this name runs. While nobody can be asked it is asked later, and reported. */
export async function claimNode(fabric: Fabric, node: string, closer: Closer): Promise<void> {
  const report = (error: unknown) => process.emitWarning(`Node ${node}: ${(error as Error).message}`)
  const claim = async () => {
    const claimed = await claimName({ fabric, node, waitMs: defaultLimits.nodeHelloMs, pause })
    closer.add(() => claimed.release())
  }
  if (fabric.state === 'here') return claim()
  const stop = fabric.onState((now) => {
    if (now === 'away') return
    stop()
    claim().catch(report)
  })
  closer.add(stop)
}

/** The data folder where the process runs one node and has never run several, else one below it. */
export function nodeFolder({ data, pops }: Pick<FabricOptions, 'data' | 'pops'>, id: string): string {
  const own = join(data, 'pops', id)
  return pops.length === 1 && !existsSync(own) ? data : own
}

/** What belongs to a node, below its folder. */
const ofNode = [
  'bucket',
  'cache',
  'copy',
  'dataset',
  'engine',
  'log',
  'mesh',
  'placed',
  'purge-log',
  'purges',
  'queue',
  'replicas',
  'served',
  'sql',
  'workflow',
]

/**
 * A data folder that was one node's becomes that of several: what the one had goes on as that of the PoP of the same name
 * (`before`), else of the first. Durable Objects and stored values would be lost from sight otherwise.
 */
async function arrangeFolders({ data, pops }: FabricOptions, before: string | undefined): Promise<void> {
  if (pops.length === 1 || !existsSync(join(data, 'engine'))) return
  const heir = pops.find(({ id }) => id === before) ?? pops[0]!
  const folder = join(data, 'pops', heir.id)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const name of ofNode)
    if (existsSync(join(data, name)) && !existsSync(join(folder, name)))
      await rename(join(data, name), join(folder, name))
}

export interface ReplicaParts extends Pick<ReplicasOptions, 'limits' | 'clock'> {
  /** Of the node. */
  readonly folder: string
  readonly mesh: Mesh
  /** The countries that may hold a bucket of the stores; known once the control plane is. */
  readonly withinOf: (bucket: string) => Within | undefined
  readonly closer: Closer
  readonly say: (message: string, facts?: object) => void
}

/** What a node merges with others lies in a folder of its own, its blobs too. */
export async function openNodeReplicas({ withinOf, mesh, closer, say, ...parts }: ReplicaParts): Promise<Replicas> {
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

/** Of Rimward. */
export async function readVersion(): Promise<string> {
  const file = await readFile(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(file) as { version: string }).version
}

/** The platform's own id, which wrangler calls the account: made once, 32 hex digits. */
export async function platformId(fabric: Fabric): Promise<string> {
  const bucket = fabric.bucket('platform')
  if ((await bucket.get('id')) === undefined) await bucket.put('id', randomBytes(16), { expect: 0 })
  return Buffer.from((await bucket.get('id'))!.value).toString('hex')
}
