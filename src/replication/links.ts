/**
 * The peers as the replicas see them: nodes greet each other when a link stands and at each beat, and learn what the other
 * has and what its clock says. Before the first greeting nothing of this node is sent.
 */
import { EdgeError } from '#/core/errors.ts'
import type { MeshCall } from '#/core/mesh.ts'
import type { NodeId, Peer } from '#/core/pops.ts'
import type { EpochMs, Milliseconds } from '#/core/units.ts'
import { hybridTime } from './hybrid-time.ts'
import type { Origin, Scope } from './operation.ts'
import type { Store } from './store.ts'
import { countLacking, lacking, type Mark, seqOf, type Vector, vectorFor } from './vector.ts'
import { readJson, toJson } from './wire.ts'

export const greetTopic = 'replication/greet'

interface Greeting {
  readonly origin: Origin
  readonly vector: Vector
  readonly clock: EpochMs
}

export interface PeerStatus {
  readonly node: NodeId
  readonly reachable: boolean
  /** Operations that this node knows and the peer lacks, as of the last greeting, and for how long some have been. */
  readonly theyLack: { readonly operations: number; readonly ms: Milliseconds }
  readonly weLack: { readonly operations: number; readonly ms: Milliseconds }
  /** By how much the peer's clock is ahead of this node's. */
  readonly skewMs?: Milliseconds
  /** Since the last greeting. */
  readonly heardMs?: Milliseconds
  /** This node has had all that the peer had when their link came up. */
  readonly caughtUp: boolean
}

interface Link {
  greeted: boolean
  caughtUp: boolean
  origin: Origin
  vector: Vector
  heardAt: Milliseconds
  theyLackSince: Milliseconds | undefined
  weLackSince: Milliseconds | undefined
}

export interface Links {
  /** Reachable and greeted. */
  linked(): readonly Peer[]
  originOf(node: NodeId): Origin | undefined
  /** As far as was heard, a peer in reach has seen all of these. */
  isSeen(marks: readonly Mark[], by: (peer: Peer) => boolean): boolean
  /** The peer has this operation of ours now. */
  told(node: NodeId, scope: Scope, origin: Origin, seq: number): void
  /** All that the peer had was taken. */
  caughtUp(node: NodeId): void
  isReady(): boolean
  whenReady(): Promise<void>
  status(): readonly PeerStatus[]
  serve(call: MeshCall): Promise<{ body: Uint8Array }>
  /** Greets the peer unless that was done; rejects when it cannot be. */
  meet(node: NodeId): Promise<void>
  close(): void
}

export interface LinksParts {
  readonly store: Store
  readonly monotonic: () => Milliseconds
  /** Asked to take what the peer has and this node lacks. */
  readonly catchUp: (node: NodeId) => void
}

export function createLinks({ store, monotonic, catchUp }: LinksParts): Links {
  const { mesh, clock, limits, seen, reader, writer, log } = store
  const { country } = mesh.self
  const links = new Map<NodeId, Link>()
  const greeting = new Map<NodeId, Promise<void>>()
  const waiting = new Set<() => void>()
  /** Nobody hears of this node's writes; they may be put back in time before somebody does. */
  let alone = true
  let meeting: Promise<void> | undefined
  let closed = false

  const linkOf = (node: NodeId): Link => {
    const found = links.get(node) ?? {
      greeted: false,
      caughtUp: false,
      origin: '',
      vector: {},
      heardAt: 0,
      theyLackSince: undefined,
      weLackSince: undefined,
    }
    links.set(node, found)
    return found
  }
  const mine = ({ node, country: theirs }: Pick<Peer, 'node' | 'country'>): Greeting => ({
    origin: reader.origin,
    vector: vectorFor(seen.vector(), theirs, links.get(node)?.origin),
    clock: clock.own(),
  })
  const reachable = () => mesh.peers().filter((peer) => peer.reachable)
  const isReady = () => reachable().every((peer) => links.get(peer.node)?.caughtUp)

  function tellReady(): void {
    if (!isReady()) return
    for (const tell of waiting) tell()
    waiting.clear()
  }

  function compare(node: NodeId, peerCountry: string): void {
    const link = linkOf(node)
    const now = monotonic()
    const theyLack = lacking(link.vector, seen.vector(), peerCountry).length > 0
    link.theyLackSince = theyLack ? (link.theyLackSince ?? now) : undefined
    const weLack = lacking(seen.vector(), link.vector, country).length > 0
    link.weLackSince = weLack ? (link.weLackSince ?? now) : undefined
    if (!weLack && link.greeted) link.caughtUp = true
    else if (weLack && (!link.caughtUp || now - link.weLackSince! >= limits.replicationRepairMs)) catchUp(node)
    tellReady()
  }

  /** Somebody hears us from now on: own writes that nobody saw are put to when they were made, if the clock was ahead. */
  async function met(): Promise<void> {
    const { count } = await writer.submit({ kind: 'met', latest: hybridTime(clock.now()) })
    if (count > 0) log('writes stamped ahead of the platform were put back', { writes: count })
    alone = false
  }
  /** One at a time: the second's end must not undo that everybody was lost after the first. */
  async function meetOnce(): Promise<void> {
    if (!alone) return
    meeting ??= met().finally(() => {
      meeting = undefined
    })
    await meeting
  }

  async function greet(peer: Peer): Promise<void> {
    const before = monotonic()
    const signal = AbortSignal.timeout(limits.replicationAskMs)
    const { body } = await mesh.ask(peer.node, greetTopic, { body: toJson(mine(peer)), signal })
    const theirs = await readJson<Greeting>(body, limits.replicationVectorBytes)
    if (closed) return
    clock.measured(peer.node, theirs.clock, monotonic() - before)
    for (const [scope, seqs] of Object.entries(theirs.vector))
      if ((seqs[reader.origin] ?? 0) > seqOf(seen.vector(), scope, reader.origin))
        log('a peer knows later writes of this node than its own disk: was an old copy of the folder put back?', {
          node: peer.node,
        })
    await meetOnce()
    const link = linkOf(peer.node)
    Object.assign(link, { greeted: true, origin: theirs.origin, vector: theirs.vector, heardAt: monotonic() })
    compare(peer.node, peer.country)
  }

  function greetOnce(peer: Peer): Promise<void> {
    const found = greeting.get(peer.node)
    if (found !== undefined) return found
    const greeted = greet(peer).finally(() => greeting.delete(peer.node))
    greeting.set(peer.node, greeted)
    return greeted
  }

  function beat(): void {
    for (const peer of mesh.peers()) {
      if (!peer.reachable) {
        const link = links.get(peer.node)
        if (link !== undefined) Object.assign(link, { greeted: false, caughtUp: false })
        clock.lost(peer.node)
        continue
      }
      greetOnce(peer).catch((error) => {
        if (!(error instanceof EdgeError) && error?.name !== 'AbortError')
          log('a greeting failed', { node: peer.node, err: error })
      })
    }
    if (!alone && reachable().length === 0) {
      alone = true
      writer.submit({ kind: 'alone' }).catch((error) => log('being alone was not written', { err: error }))
    }
    tellReady()
  }

  const end = mesh.onPeers(beat)
  const timer = setInterval(beat, limits.replicationBeatMs)
  queueMicrotask(beat)

  return {
    linked: () => (closed ? [] : reachable()).filter((peer) => links.get(peer.node)?.greeted),
    originOf: (node) => links.get(node)?.origin,
    isSeen(marks, by) {
      const hasAll = ({ vector }: Link) => marks.every(([scope, origin, seq]) => seqOf(vector, scope, origin) >= seq)
      return reachable().some((peer) => by(peer) && links.get(peer.node)?.greeted && hasAll(linkOf(peer.node)))
    },
    told(node, scope, origin, seq) {
      const link = linkOf(node)
      if (seq > seqOf(link.vector, scope, origin))
        link.vector = { ...link.vector, [scope]: { ...link.vector[scope], [origin]: seq } }
    },
    caughtUp(node) {
      linkOf(node).caughtUp = true
      linkOf(node).weLackSince = undefined
      tellReady()
    },
    isReady,
    whenReady: () => (isReady() ? Promise.resolve() : new Promise((resolve) => waiting.add(resolve))),
    status: () =>
      mesh.peers().map((peer) => {
        const link = linkOf(peer.node)
        const since = (start: Milliseconds | undefined) => (start === undefined ? 0 : Math.round(monotonic() - start))
        const skew = clock.skewOf(peer.node)
        return {
          node: peer.node,
          reachable: peer.reachable,
          theyLack: {
            operations: countLacking(link.vector, seen.vector(), peer.country),
            ms: since(link.theyLackSince),
          },
          weLack: { operations: countLacking(seen.vector(), link.vector, country), ms: since(link.weLackSince) },
          ...(skew !== undefined && { skewMs: Math.round(skew) }),
          ...(link.heardAt > 0 && { heardMs: since(link.heardAt) }),
          caughtUp: link.caughtUp,
        }
      }),
    async serve({ from, body }) {
      const theirs = await readJson<Greeting>(body, limits.replicationVectorBytes)
      const link = linkOf(from.node)
      Object.assign(link, { origin: theirs.origin, vector: theirs.vector, heardAt: monotonic() })
      if (link.greeted) compare(from.node, from.country)
      return { body: toJson(mine(from)) }
    },
    async meet(node) {
      if (!alone) return
      const peer = mesh.peers().find((one) => one.node === node)
      if (peer === undefined) throw new EdgeError('peer_away', `The node ${node} is no peer.`)
      await greetOnce(peer)
    },
    close() {
      closed = true
      end()
      clearInterval(timer)
      for (const tell of waiting) tell()
    },
  }
}
