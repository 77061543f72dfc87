/** Where a new object lives: a pure decision with its reason. */
import type { HomeWish } from '#/core/object-homes.ts'
import { allows, type NodeId, nearestPeers, type Peer, type Place, type PopId } from '#/core/pops.ts'
import { regionsNear, regionsOf } from './regions.ts'

export type HomeChoice =
  | { readonly node: NodeId; readonly pop: PopId; readonly why: 'hint' | 'first-caller' | 'nearest-allowed' }
  | { readonly node: undefined; readonly why: 'nowhere' | 'away' }

/** The hinted region first, then the first caller's own node, then the nearest one; never outside `within`. */
export function chooseHome(self: Place, peers: readonly Peer[], wish: HomeWish): HomeChoice {
  const here = allows(wish.within, self.country) ? [self] : []
  const reachable: readonly Place[] = [...here, ...nearestPeers(peers, wish.within)]
  for (const region of regionsNear(wish.hint)) {
    const found = reachable.find(({ country }) => regionsOf(country).includes(region))
    if (found !== undefined) return { node: found.node, pop: found.pop, why: 'hint' }
  }
  const [first] = reachable
  if (first !== undefined)
    return { node: first.node, pop: first.pop, why: first === self ? 'first-caller' : 'nearest-allowed' }
  const exists = peers.some(({ country }) => allows(wish.within, country))
  return { node: undefined, why: exists ? 'away' : 'nowhere' }
}
