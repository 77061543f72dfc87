/** Asks every node what lies on its disk. Each looks at its own; who is away is named. */
import type { NodeHoldings } from '#/core/holdings.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { NodeId } from '#/core/pops.ts'
import type { Milliseconds } from '#/core/units.ts'

export const auditTopic = 'audit'

/** Has other nodes' audits answered by what this node finds. Returns how to take it back. */
export function serveAudit(mesh: Pick<Mesh, 'serve'>, own: () => Promise<NodeHoldings>): () => void {
  return mesh.serve(auditTopic, async () => ({ body: Buffer.from(JSON.stringify(await own())) }))
}

export interface AskedNodes {
  readonly nodes: readonly NodeHoldings[]
  /** A sentence for each node that did not answer. */
  readonly away: readonly string[]
}

export async function askNodes(
  mesh: Pick<Mesh, 'peers' | 'ask'>,
  { timeoutMs, except = [] }: { readonly timeoutMs: Milliseconds; readonly except?: readonly NodeId[] },
): Promise<AskedNodes> {
  const nodes: NodeHoldings[] = []
  const away: string[] = []
  await Promise.all(
    mesh.peers().map(async ({ node }) => {
      if (except.includes(node)) return
      try {
        const { body } = await mesh.ask(node, auditTopic, { signal: AbortSignal.timeout(timeoutMs) })
        nodes.push(JSON.parse(Buffer.concat(await body.toArray()).toString('utf8')) as NodeHoldings)
      } catch (error) {
        away.push(`${node}: ${(error as Error).message}`)
      }
    }),
  )
  return { nodes: nodes.toSorted((one, other) => (one.node < other.node ? -1 : 1)), away }
}
