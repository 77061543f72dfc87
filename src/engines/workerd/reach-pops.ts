/** How objects and programs of other nodes are found: the home of an object, and a way to its cell. */
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { ObjectHomes } from '#/core/object-homes.ts'
import { jurisdictionOf, withinOf } from '#/core/object-ids.ts'
import type { NodeId, Within } from '#/core/pops.ts'
import { intersect } from '#/core/residency.ts'
import type { Deployment, ObjectNamespace, Program, ProgramName } from '#/core/snapshot.ts'
import { createCellRoutes } from './cell-routes.ts'
import { stoppedError } from './fence-stream.ts'
import type { Place } from './own-cells.ts'
import { placeProgram } from './placement.ts'
import type { ReachTarget } from './reach.ts'
import { createCellServer } from './serve-cells.ts'

export interface PopsReachOptions {
  readonly homes: ObjectHomes
  readonly mesh: Mesh
  /** For sockets: short, private. */
  readonly folder: string
  readonly program: (name: ProgramName) => Program | undefined
  readonly own: (program: Program) => Promise<Place>
  readonly shared: (deployment: Deployment) => Promise<string>
  readonly limits: Limits
}

/** Each rejects with `object_away`, `peer_away`, `not_here`, `not_found` or why a cell does not start. */
export interface PopsReach {
  readonly self: NodeId
  /** `{ here: true }` when the asking program's own cell runs it, else the address of a cell that does. */
  object(program: Program, target: ReachTarget, asker: ProgramName): Promise<object>
  /** A program at another node. */
  program(node: NodeId, target: ReachTarget): Promise<object>
  /** Its own cell on this node, through the fence, where it has objects whose answers need one. */
  fenced(program: Program): Promise<Place | undefined>
  close(): void
}

const tunnelTopic = 'cell'

export function createPopsReach(options: PopsReachOptions): PopsReach {
  const { homes, mesh, folder, limits } = options
  const { self, standing } = homes
  const server = createCellServer({
    ...options,
    isShared: (program, deployment) => placeProgram(program, deployment, limits).kind === 'shared',
  })
  const routes = createCellRoutes({
    folder,
    limits,
    async open(node, target) {
      if (node === self) return server.open(target)
      if (mesh.peers().some((peer) => peer.node === node && !peer.reachable)) throw awayError(node)
      return mesh.tunnel(node, tunnelTopic, { ...target })
    },
  })
  const stopServing = mesh.serveTunnel(tunnelTopic, ({ head }, stream) =>
    server.join({ program: String(head.program), objects: head.objects === true }, stream),
  )

  return {
    self,
    async object(program, { className, id = '', hint }, asker) {
      const namespace = program.objects.find((known) => known.className === className)
      if (namespace === undefined) throw new EdgeError('not_found', `${program.name} has no class ${className}.`)
      const wish = () => {
        const within = withinOfObject(options.program(program.name) ?? program, namespace, id)
        return { ...(within && { within }), ...(hint !== undefined && { hint }) }
      }
      const node = await homes.home({ key: namespace.key, id }, wish).catch((error) => {
        throw homeless(error)
      })
      if (node === self && standing.epoch() === undefined) throw stoppedError()
      if (node === self && asker === program.name) return { here: true }
      if (mesh.peers().some((peer) => peer.node === node && !peer.reachable)) throw awayError(node)
      const address = await routes.address(node, { program: program.name, objects: true }).catch((error) => {
        throw homeless(error)
      })
      return { address, key: namespace.key }
    },
    async program(node, { program, entrypoint, props }) {
      const address = await routes.address(node, { program, objects: false })
      return { address, service: 'host', entrypoint: 'Program', props: { program, entrypoint, props } }
    },
    async fenced(program) {
      if (program.objects.length === 0) return undefined
      const { service } = await options.own(program)
      return { address: await routes.address(self, { program: program.name, objects: false }), service }
    },
    close() {
      stopServing()
      routes.close()
      server.close()
    },
  }
}

function awayError(node: NodeId): EdgeError {
  return new EdgeError('object_away', `The Durable Object lives at ${node}, which cannot be reached now. (object_away)`)
}

/** What is away: where it lives is not known, or not reached. */
function homeless(error: unknown): unknown {
  if (!(error instanceof EdgeError) || !['peer_away', 'fabric_away'].includes(error.code)) return error
  return new EdgeError('object_away', `${error.message} (object_away)`, { cause: error })
}

/** All that limits it: the program's countries, the class's, the id's own. */
function withinOfObject(program: Program, namespace: ObjectNamespace, id: string): Within | undefined {
  const jurisdiction = jurisdictionOf(namespace.key, id)
  const ofId = jurisdiction === undefined ? undefined : withinOf(jurisdiction)
  return intersect(intersect(program.within, namespace.within), ofId)
}
