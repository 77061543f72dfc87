/**
 * Which other nodes this one has compared its purges with since the link to them came up. While it has not, it may lack what was purged
 * meanwhile: requests wait for that a little, and the node does not call itself ready.
 */
import type { Limits } from '#/core/limits.ts'
import type { NodeId, Peer } from '#/core/pops.ts'
import type { PurgeStanding } from '#/core/tiers.ts'
import type { EpochMs, Milliseconds } from '#/core/units.ts'

export interface PurgeLinks {
  /** As the mesh tells them. */
  see(peers: readonly Peer[]): void
  /** Compare anew with this one: it knows of purges from a time when it could not tell them. */
  doubt(node: NodeId): void
  standing(): PurgeStanding
  /** While it is a promise, requests wait for it: `purgeCatchUpMs` at most. */
  readonly gate: Promise<void> | undefined
  /** Resolves when the state is `alone` or `ready` for the first time. */
  readonly ready: Promise<void>
  close(): void
}

export interface PurgeLinksOptions {
  /** Resolves when all that the node knows was applied here too. */
  readonly compare: (node: NodeId) => Promise<void>
  /** A node went out of reach: what it had applied may be gone when it is back. */
  readonly onAway: (node: NodeId) => void
  readonly limits: Pick<Limits, 'purgeCatchUpMs' | 'purgeFirstContactMs'>
  readonly log: (message: string, facts?: object) => void
}

const againMs: Milliseconds = 250

export function createPurgeLinks({ compare, onAway, limits, log }: PurgeLinksOptions): PurgeLinks {
  let peers: readonly Peer[] = []
  /** Reachable nodes by whether they were compared with; by the start of their process. */
  const linked = new Map<NodeId, { readonly startedAt: EpochMs; synced: boolean; round: number }>()
  const ready = Promise.withResolvers<void>()
  let isStarting = true
  let closed = false
  let gate: { readonly open: PromiseWithResolvers<void>; readonly timer: NodeJS.Timeout; late: boolean } | undefined
  const firstContact = setTimeout(() => settle(true), limits.purgeFirstContactMs)
  firstContact.unref()

  const behind = () => [...linked].filter(([, { synced }]) => !synced).map(([node]) => node)

  function settle(late = false): void {
    const lacks = behind().length > 0
    if (lacks && gate === undefined) {
      const open = Promise.withResolvers<void>()
      const timer = setTimeout(() => {
        log('serves without knowing what was purged elsewhere: others did not tell in time', { behind: behind() })
        gate!.late = true
        open.resolve()
      }, limits.purgeCatchUpMs)
      timer.unref()
      gate = { open, timer, late: false }
    } else if (!lacks && gate !== undefined) {
      clearTimeout(gate.timer)
      gate.open.resolve()
      gate = undefined
    }
    if (!isStarting || lacks || (!late && peers.some(({ reachable }) => !reachable))) return
    isStarting = false
    clearTimeout(firstContact)
    ready.resolve()
  }

  async function catchUp(node: NodeId): Promise<void> {
    const link = linked.get(node)!
    const round = ++link.round
    const isOver = () => closed || linked.get(node) !== link || link.round !== round
    while (!isOver()) {
      try {
        await compare(node)
        if (isOver()) return
        link.synced = true
        return settle()
      } catch (error) {
        if (isOver()) return
        log('comparing purges failed', { node, error: String(error) })
        await new Promise<void>((resolve) => void setTimeout(resolve, againMs).unref())
      }
    }
  }

  return {
    see(all) {
      peers = all
      const reachable = new Map(all.filter((peer) => peer.reachable).map((peer) => [peer.node, peer]))
      for (const [node, link] of linked)
        if (reachable.get(node)?.startedAt !== link.startedAt) {
          linked.delete(node)
          onAway(node)
        }
      for (const [node, { startedAt }] of reachable) {
        if (linked.has(node)) continue
        linked.set(node, { startedAt, synced: false, round: 0 })
        void catchUp(node)
      }
      settle()
    },
    doubt(node) {
      const link = linked.get(node)
      if (link === undefined) return
      link.synced = false
      settle()
      void catchUp(node)
    },
    standing() {
      const away = peers.filter((peer) => !peer.reachable).map(({ pop, node, since }) => ({ pop, node, since }))
      const lacking = behind()
      const running = lacking.length > 0 ? 'catching-up' : away.length > 0 ? 'alone' : 'ready'
      return { state: isStarting ? 'starting' : running, behind: lacking, away }
    },
    get gate() {
      return gate === undefined || gate.late ? undefined : gate.open.promise
    },
    ready: ready.promise,
    close() {
      closed = true
      clearTimeout(firstContact)
      if (gate !== undefined) {
        clearTimeout(gate.timer)
        gate.open.resolve()
      }
    },
  }
}
