/** How the nodes of a process become part of a platform on several machines, and talk to its other nodes. */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Members } from '#/apis/rimward/members.ts'
import type { Closer } from '#/core/closer.ts'
import type { Limits } from '#/core/limits.ts'
import type { Place } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import type { Address } from '#/edge/edge.ts'
import type { NatsServers } from '#/fabric/nats/connect.ts'
import { answerJoins } from '#/mesh/answer-joins.ts'
import type { DialSocket } from '#/mesh/dial-node.ts'
import { createInvite } from '#/mesh/invites.ts'
import { joinPlatform } from '#/mesh/join-platform.ts'
import { openMesh, type RunningMesh } from '#/mesh/mesh.ts'
import { type KeyRing, keepKeys, openSeal } from '#/stores/seal.ts'

export interface JoinSetUp {
  readonly nats: NatsServers
  /** Where nodes of other machines reach the first node of this one; the n-th listens on port + n - 1. */
  readonly mesh: Address
  /** As `rimward invite` printed it. */
  readonly invite?: string
  /** The administrator's, where the operator set it for several machines. */
  readonly token?: string
  /** How bytes get to other nodes; TCP by default. */
  readonly dial?: DialSocket
}

interface NodeWish {
  /** Of the node. */
  readonly folder: string
  readonly pop: string
  readonly country: string
  readonly shared: Fabric
}

interface Common {
  readonly limits: Limits
  readonly clock: Clock
}

/**
 * The first node of the process founds the platform, is let in, or was a member before; it brings the platform's keys, with
 * which the others sign for themselves. Rejects with the reason, and then nothing has changed anywhere.
 */
export async function joinNodes(
  wishes: readonly NodeWish[],
  { invite, token }: Pick<JoinSetUp, 'invite' | 'token'>,
  { keyFile, ...common }: Common & { readonly keyFile: string },
): Promise<readonly Place[]> {
  const [first, ...others] = wishes as [NodeWish]
  const { place } = await joinPlatform({
    ...common,
    folder: join(first.folder, 'mesh'),
    fabric: first.shared,
    pop: first.pop,
    country: first.country,
    ...(invite !== undefined && { invite }),
    ...(token !== undefined && { token }),
    openSeal: () => openSeal({ keyFile }),
    keepSecrets: (keys) => keepKeys({ keyFile, keys }),
  })
  return [place, ...others.map(({ pop, country }) => ({ node: pop, pop, country }))]
}

export interface MeshParts extends Common {
  /** Of the node. */
  readonly folder: string
  readonly place: Place
  readonly listen: Address
  /** Past every copy: an entry in the directory is compared and set. */
  readonly shared: Fabric
  readonly seal: KeyRing
  readonly version: string
  /** The administrator's: who proves to have it is let in. */
  readonly token: string
  /** Whoever reaches NATS is let in. */
  readonly open: boolean
  readonly dial?: DialSocket
  readonly closer: Closer
  readonly say: (message: string, facts?: object) => void
}

/** Links to all nodes that can be reached stand when this resolves; newcomers are answered from then on. */
export async function openNodeMesh(parts: MeshParts): Promise<RunningMesh> {
  const { place, shared, seal, token, open, limits, clock, closer, say } = parts
  const mesh = await openMesh({ ...parts, fabric: shared, folder: join(parts.folder, 'mesh'), log: say })
  const isAlive = (node: string) => mesh.peers().some((peer) => peer.node === node && peer.reachable)
  closer.add(
    answerJoins({
      ...{ fabric: shared, seal, self: place.node, token, open, isAlive, limits, clock, log: say },
      secretsFor: async () => seal.keys(),
    }),
  )
  await untilLinked(mesh, limits.meshLinkMs)
  return mesh
}

const lookMs = 20

/** Peers that are gone do not keep a node from starting. */
async function untilLinked(mesh: RunningMesh, withinMs: number): Promise<void> {
  const end = performance.now() + withinMs
  while (performance.now() < end && mesh.peers().some(({ reachable }) => !reachable)) await pause(lookMs)
}

/** What the control plane's API asks of the mesh. */
export function membersOf(mesh: RunningMesh, shared: Fabric, common: Common): Members {
  return {
    invite: (wish) => createInvite({ fabric: shared, ...common }, wish),
    forget: (node) => mesh.forget(node),
  }
}
