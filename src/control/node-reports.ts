/**
 * What each node says of itself, once a second over the fabric's messages: what it serves and how it does. While the fabric is away it
 * says so to each node that it has a link to, and hears what that one says. Nobody keeps it; a node that falls silent is shown with its
 * last word. A name belongs to one node: who comes second is told.
 */
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { NodeId } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import type { Clock, EpochMs, Milliseconds } from '#/core/units.ts'

export const nodeReport = z.object({
  node: z.string(),
  pop: z.string(),
  country: z.string(),
  http: z.exactOptional(z.string()),
  https: z.exactOptional(z.string()),
  version: z.string(),
  startedAt: z.number(),
  revision: z.number(),
  wanted: z.number(),
  servedSince: z.number(),
  awaySince: z.exactOptional(z.number()),
  ageMs: z.number(),
  failure: z.exactOptional(
    z.object({
      revision: z.number(),
      reason: z.string(),
      at: z.number(),
      tries: z.number().default(1),
      /** Absent from nodes of earlier releases, which wait for the next revision. */
      nextAt: z.exactOptional(z.number()),
    }),
  ),
  /** Answers since the start. */
  requests: z.number(),
  errors: z.number(),
})
/** Times in ms since 1970. */
export type NodeReport = z.infer<typeof nodeReport>

export interface HeardReport extends NodeReport {
  /** When it came; a node that lives speaks each second. */
  readonly heardAt: EpochMs
}

export interface NodeReports {
  /** By node; those of this process are always there and fresh. */
  all(): readonly HeardReport[]
  close(): void
}

interface Parts {
  readonly fabric: Pick<Fabric, 'publish' | 'subscribe' | 'state'>
  /** Of the nodes of this process. */
  readonly meshes?: readonly Mesh[]
  readonly own: () => readonly NodeReport[]
  readonly limits: Pick<Limits, 'nodeStatusMs' | 'nodesKnown'>
  readonly clock: Clock
}

const topic = 'pops/status'

export function createNodeReports({ fabric, meshes = [], own, limits, clock }: Parts): NodeReports {
  const heard = new Map<NodeId, HeardReport>()
  const words = () => Buffer.from(JSON.stringify(own()))

  function hear(message: Uint8Array): void {
    const read = z.array(nodeReport).safeParse(parse(message))
    for (const report of read.data ?? []) {
      heard.delete(report.node)
      heard.set(report.node, { ...report, heardAt: clock() })
      if (heard.size > limits.nodesKnown) heard.delete(heard.keys().next().value!)
    }
  }

  function speak(): void {
    fabric.publish(topic, words())
    const [mesh] = meshes
    if (fabric.state === 'here' || mesh === undefined) return
    for (const { node, reachable } of mesh.peers())
      if (reachable)
        mesh
          .ask(node, topic, { body: words(), signal: AbortSignal.timeout(limits.nodeStatusMs) })
          .then(({ body }) => whole(body).then(hear))
          // It shows as silent.
          .catch(() => {})
  }

  const stops = [
    fabric.subscribe(topic, hear),
    ...meshes.map((mesh) =>
      mesh.serve(topic, async ({ body }) => {
        hear(await whole(body))
        return { body: words() }
      }),
    ),
  ]
  const timer = setInterval(speak, limits.nodeStatusMs)
  timer.unref()
  speak()
  return {
    all() {
      const mine = own().map((report) => ({ ...report, heardAt: clock() }))
      const names = new Set(mine.map(({ node }) => node))
      const others = [...heard.values()].filter(({ node }) => !names.has(node))
      return [...mine, ...others].sort((one, other) => (one.node < other.node ? -1 : 1))
    },
    close() {
      clearInterval(timer)
      for (const stop of stops) stop()
    },
  }
}

async function whole(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(body))
}

export interface NameClaim {
  release(): void
}

interface ClaimParts {
  readonly fabric: Pick<Fabric, 'publish' | 'subscribe'>
  readonly node: NodeId
  readonly waitMs: Milliseconds
  readonly pause: (ms: Milliseconds) => Promise<unknown>
}

const claim = z.object({ node: z.string(), id: z.string(), kind: z.enum(['hello', 'taken']) })

/**
 * Asks whether a node of this name runs already, and from then on says so to others. Rejects with `bad_request` when one
 * does; of two that start at once one goes on.
 */
export async function claimName({ fabric, node, waitMs, pause }: ClaimParts): Promise<NameClaim> {
  const id = randomUUID()
  const say = (kind: 'hello' | 'taken') => fabric.publish('pops/name', Buffer.from(JSON.stringify({ node, id, kind })))
  let holds = false
  let isTaken = false
  const release = fabric.subscribe('pops/name', (message) => {
    const read = claim.safeParse(parse(message))
    if (!read.success || read.data.node !== node || read.data.id === id) return
    if (read.data.kind === 'taken') isTaken ||= !holds
    else if (holds || id < read.data.id) say('taken')
    // Of two that ask at once the other goes on, which may not have heard this one.
    else isTaken = true
  })
  say('hello')
  await pause(waitMs)
  if (isTaken) {
    release()
    throw new EdgeError(
      'bad_request',
      `A node named "${node}" runs already on this platform. Give this one another name with --pops.`,
    )
  }
  holds = true
  return { release }
}

function parse(message: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(message).toString())
  } catch {
    return undefined
  }
}
