/** What a node of several needs for Durable Objects, in one piece. */
import type { createCloser } from '#/core/closer.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { ObjectHomes } from '#/core/object-homes.ts'
import type { Fabric } from '#/core/ports.ts'
import { createObjectHomes } from './homes.ts'
import { createStanding } from './standing.ts'

export interface NodeParts {
  readonly fabric: Fabric
  /** Absent on the only node, where all objects are. */
  readonly mesh?: Mesh
  /** Of the Snapshot that this node serves. */
  readonly revision: () => number
  readonly limits: Limits
  readonly log: (message: string, facts?: object) => void
  readonly closer: Pick<ReturnType<typeof createCloser>, 'add'>
}

/** For the Workers engine; `undefined` on the only node. The lease is given back by the closer. */
export function openObjects(parts: NodeParts): { readonly homes: ObjectHomes; readonly mesh: Mesh } | undefined {
  const { fabric, mesh, revision, limits, log, closer } = parts
  if (mesh === undefined) return undefined
  const monotonic = () => performance.now()
  const standing = createStanding({ fabric, node: mesh.self.node, limits, monotonic, log })
  closer.add(() => standing.close())
  return { mesh, homes: createObjectHomes({ fabric, mesh, standing, revision, limits, log }) }
}
