/** Several nodes in one process for stories about objects: real engines, links and a fabric that can be cut. */

import { defaultLimits, type Limits } from '#/core/limits.ts'
import { createMemoryMeshes, type MemoryMeshes } from '#/core/memory-mesh.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { Place } from '#/core/pops.ts'
import { openStage, type Stage, type StagedProgram } from '#/engines/workerd/engine-stage.ts'
import { openOwnEngine } from '#/engines/workerd/own-engine.ts'
import { type CutFabric, createCutFabric } from '#/objects/cut-fabric.fixture.ts'
import { createObjectHomes } from '#/objects/homes.ts'
import { createStanding, type RunningStanding } from '#/objects/standing.ts'

export interface StagedNode {
  readonly place: Place
  readonly stage: Stage
  readonly standing: RunningStanding
  /** The node's clock stands still or jumps ahead of what it was: as after a pause. */
  ahead: number
}

export interface PopsStage {
  readonly nodes: Readonly<Record<string, StagedNode>>
  readonly meshes: MemoryMeshes
  readonly fabric: CutFabric
  /** Deploys at every node. */
  add(program: StagedProgram): Promise<void>
  text(node: string, program: string, path: string): Promise<string>
  close(): Promise<void>
}

/** `places`: `fra:DE`, `iad:US`. */
export async function openPopsStage(
  places: readonly string[],
  limits: Partial<Limits> = {},
  /** How a node joins; in memory without. */
  joinMesh?: (place: Place) => Promise<Mesh>,
): Promise<PopsStage> {
  const meshes = createMemoryMeshes()
  const fabric = createCutFabric(Date.now)
  const blobs = new Map<string, Uint8Array>()
  const all = { ...defaultLimits, cells: 1, spareCells: 0, ...limits }
  const nodes: Record<string, StagedNode> = {}
  const joined: { readonly place: Place; readonly mesh: Mesh }[] = []
  for (const text of places) {
    const [pop = '', country = ''] = text.split(':')
    const place: Place = { node: pop, pop, country }
    joined.push({ place, mesh: (await joinMesh?.(place)) ?? meshes.join(place) })
  }
  for (const { place, mesh } of joined) {
    const own = { ahead: 0 }
    const view = fabric.view(place.node)
    const log = () => {}
    const monotonic = () => performance.now() + own.ahead
    const standing = createStanding({ fabric: view, node: place.node, limits: all, monotonic, log })
    const homes = createObjectHomes({ fabric: view, mesh, standing, revision: () => 1, limits: all, log })
    const stage = await openStage(all, { ownCells: openOwnEngine, pops: { homes, mesh }, blobs })
    nodes[place.node] = Object.assign(own, { place, stage, standing })
  }
  return {
    nodes,
    meshes,
    fabric,
    async add(staged) {
      const [first, ...others] = Object.values(nodes)
      const program = await first!.stage.add(staged)
      for (const { stage } of others) await stage.take(program)
    },
    async text(node, program, path) {
      const { body } = await nodes[node]!.stage.fetch(program, path)
      if (body === null) return ''
      return Buffer.from(body instanceof Uint8Array ? body : Buffer.concat(await body.toArray())).toString()
    },
    async close() {
      for (const { stage, standing } of Object.values(nodes)) {
        await standing.close()
        await stage.close()
      }
    },
  }
}
