/** Which node of a shield PoP is asked for a key: all who see the same nodes choose the same one. */
import { createHash } from 'node:crypto'
import { allows, type NodeId, type Peer, type Place, type PopId, type Within } from '#/core/pops.ts'

/**
 * Rendezvous hashing: a node that goes moves only its own keys. Undefined where no node of the PoP can be reached; this node
 * itself where it is one of them and the key is its own.
 */
export function chooseShield(
  pop: PopId,
  key: string,
  self: Place,
  peers: readonly Peer[],
  within: Within | undefined,
): NodeId | undefined {
  const candidates: NodeId[] = self.pop === pop ? [self.node] : []
  for (const peer of peers)
    if (peer.pop === pop && peer.reachable && allows(within, peer.country)) candidates.push(peer.node)
  if (candidates.length < 2) return candidates[0]
  let best: NodeId | undefined
  let highest = ''
  for (const node of candidates) {
    const rank = createHash('sha1').update(`${node}\n${key}`).digest('hex')
    if (rank <= highest) continue
    highest = rank
    best = node
  }
  return best
}
