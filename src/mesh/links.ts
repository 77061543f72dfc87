/** The links to all other nodes, as the directory has them. */
import { EdgeError } from '#/core/errors.ts'
import type { NodeId, Peer } from '#/core/pops.ts'
import type { NodeEntry } from './directory.ts'
import { type Link, type LinkOptions, openLink } from './link.ts'

export interface Links {
  peers(): readonly Peer[]
  onPeers(listener: (peers: readonly Peer[]) => void): () => void
  /** Rejects with `peer_away` for a node that is not in the directory. */
  take: (node: NodeId, kind: 'calls' | 'tunnels') => ReturnType<Link['take']>
  /** A sign of life of this node came from elsewhere. */
  wake(node: NodeId): void
  follow(nodes: ReadonlyMap<NodeId, NodeEntry>): void
  renew(): void
  close(): void
}

export interface LinksOptions extends Omit<LinkOptions, 'entry' | 'onChange'> {
  readonly self: NodeId
}

export function createLinks(options: LinksOptions): Links {
  const { self, log } = options
  const links = new Map<NodeId, Link>()
  const listeners = new Set<(peers: readonly Peer[]) => void>()
  const peers = () => [...links.values()].map(peerOf)

  function tell(): void {
    for (const listener of listeners) {
      try {
        listener(peers())
      } catch (error) {
        log('who listens to the peers failed', { error })
      }
    }
  }
  function drop(node: NodeId, link: Link): void {
    links.delete(node)
    link.close()
  }
  const open = (entry: NodeEntry) => links.set(entry.node, openLink({ ...options, entry, onChange: tell }))

  return {
    peers,
    onPeers(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    async take(node, kind) {
      const link = links.get(node)
      if (link === undefined) throw new EdgeError('peer_away', `There is no other node ${node} on this platform.`)
      return link.take(kind)
    },
    wake: (node) => links.get(node)?.wake(),
    follow(nodes) {
      const before = [...links.keys()].join()
      for (const [node, link] of links) if (!isSame(link.entry, nodes.get(node))) drop(node, link)
      for (const entry of nodes.values()) {
        if (entry.node === self) continue
        if (links.has(entry.node)) links.get(entry.node)!.wake()
        else open(entry)
      }
      if ([...links.keys()].join() !== before) tell()
    },
    renew() {
      for (const link of links.values()) link.renew()
    },
    close() {
      listeners.clear()
      for (const [node, link] of links) drop(node, link)
    },
  }
}

/** Another start of the same node is reached by the same link. */
function isSame(one: NodeEntry, other: NodeEntry | undefined): boolean {
  return (
    other !== undefined &&
    one.fingerprint === other.fingerprint &&
    one.address.host === other.address.host &&
    one.address.port === other.address.port
  )
}

function peerOf({ entry, state }: Link): Peer {
  const { node, pop, country } = state.place ?? entry
  const { version, startedAt } = state.hello ?? entry
  const { reachable, since, rttMs, skewMs, problem } = state
  return {
    node,
    pop,
    country,
    version,
    startedAt,
    reachable,
    since,
    ...(rttMs !== undefined && { rttMs }),
    ...(skewMs !== undefined && { skewMs }),
    ...(problem !== undefined && !reachable && { problem }),
  }
}
