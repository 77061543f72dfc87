/** The audit of a whole platform: every node looks at its own folder; what they share is looked at once. */
import { type AuditReport, judgeHoldings, type NodeHoldings, type SharedStream } from '#/core/holdings.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { Place } from '#/core/pops.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { askNodes } from './audit-nodes.ts'
import { lookApart } from './look-apart.ts'

export interface PlatformAuditOptions {
  /** The data folder of this process. */
  readonly folder: string
  /** Nodes of this process. */
  readonly pops: readonly {
    readonly place: Place
    readonly mesh?: Pick<Mesh, 'peers' | 'ask'> | undefined
    audit(): Promise<NodeHoldings>
  }[]
  readonly fabric: object
  readonly snapshot: Snapshot
  readonly limits: Pick<Limits, 'auditMs' | 'auditBytes'>
}

/** What a fabric on servers of its own can tell besides. */
interface TellsStreams {
  streams(): Promise<readonly (SharedStream & { readonly readable: boolean })[]>
}

export async function auditPlatform(options: PlatformAuditOptions): Promise<AuditReport> {
  const { folder, pops, snapshot, limits } = options
  const mesh = pops[0]?.mesh
  const except = pops.map(({ place }) => place.node)
  const [own, others, shared, told] = await Promise.all([
    Promise.all(pops.map((pop) => pop.audit())),
    mesh === undefined ? { nodes: [], away: [] } : askNodes(mesh, { timeoutMs: limits.auditMs, except }),
    pops.length === 1 ? [] : lookAtShared(folder, options),
    tellStreams(options.fabric),
  ])
  const report = judgeHoldings(snapshot, [...own, ...others.nodes, ...shared], [...others.away, ...told.unread])
  return { ...report, ...(told.streams && { streams: told.streams }) }
}

/** What several nodes of this process have in common is on one machine, which is in all of their countries. */
async function lookAtShared(folder: string, { pops, limits }: PlatformAuditOptions): Promise<readonly NodeHoldings[]> {
  const countries = [...new Set(pops.map(({ place }) => place.country))]
  const found = await lookApart(folder, { except: [`${folder}/pops`], limits })
  return [{ node: 'shared', pop: 'shared', countries, ...found }]
}

async function tellStreams(
  fabric: object,
): Promise<{ readonly streams?: readonly SharedStream[]; readonly unread: readonly string[] }> {
  if (!('streams' in fabric)) return { unread: [] }
  try {
    const all = await (fabric as TellsStreams).streams()
    const hidden = all.filter(({ readable }) => !readable)
    return {
      streams: all.filter(({ readable }) => readable),
      unread: hidden.map(({ stream }) => `The stream ${stream} of NATS: this node has no right to look into it.`),
    }
  } catch (error) {
    return { unread: [`Streams of NATS: ${(error as Error).message}`] }
  }
}
