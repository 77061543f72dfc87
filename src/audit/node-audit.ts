/** One node's part: it looks at its own disk for whoever asks, and clears away what may no longer be there. */
import { join } from 'node:path'
import type { NodeHoldings } from '#/core/holdings.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { Place } from '#/core/pops.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { serveAudit } from './audit-nodes.ts'
import { type EraseAwayOptions, eraseAway } from './erase-away.ts'
import { lookApart } from './look-apart.ts'

export interface NodeAudit {
  audit(): Promise<NodeHoldings>
  /** Resolves when nothing lies here any more that this Snapshot keeps elsewhere. */
  follow(snapshot: Snapshot): Promise<void>
  close(): void
}

export interface NodeAuditOptions extends Omit<EraseAwayOptions, 'country'> {
  readonly place: Place
  readonly limits: Pick<Limits, 'auditMs' | 'auditBytes'>
  /** What the node merges with others; absent: nothing. */
  readonly replicas?: { recheck(): Promise<unknown> } | undefined
  /** Absent: nobody else asks. */
  readonly mesh?: Pick<Mesh, 'serve'> | undefined
}

export function createNodeAudit(options: NodeAuditOptions): NodeAudit {
  const { folder, place, mesh, limits } = options
  const { node, pop, country } = place
  const audit = async (): Promise<NodeHoldings> => ({
    ...{ node, pop, countries: [country] },
    // Where the process runs several nodes, each looks at its own folder.
    ...(await lookApart(folder, { except: [join(folder, 'pops')], limits })),
  })
  const stop = mesh && serveAudit(mesh, audit)
  const erase = eraseAway({ ...options, country })
  /** Undefined before the first Snapshot: what was said while this node was away is found out with that one. */
  let checked: { readonly placements: Snapshot['placements'] } | undefined
  return {
    audit,
    async follow(snapshot) {
      await erase(snapshot)
      const { placements } = snapshot
      if (checked !== undefined && checked.placements === placements) return
      await options.replicas?.recheck()
      checked = { placements }
    },
    close: () => stop?.(),
  }
}
