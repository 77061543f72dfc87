/** Calls to stores that live at one node: here, or across the mesh. */
import { EdgeError } from '#/core/errors.ts'
import type { HomedStores, StoreAnswer, StoreCall, StoreHandler, StoreName } from '#/core/homed-stores.ts'
import type { Mesh, MeshHead } from '#/core/mesh.ts'
import type { ObjectHomes } from '#/core/object-homes.ts'
import { allows, type CountryCode, type NodeId, type Within } from '#/core/pops.ts'
import { describeWithin } from '#/core/residency.ts'
import { type ResourceKind, resourceOf } from '#/core/resources.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { withinOfStore } from '#/core/store-places.ts'

export interface HomedStoresOptions {
  readonly self: NodeId
  readonly country: CountryCode
  /** Absent on the only node, where all stores are. */
  readonly pops?: { readonly homes: Pick<ObjectHomes, 'home'>; readonly mesh: Pick<Mesh, 'ask' | 'serve'> }
  readonly snapshot: () => Snapshot
}

const topic = 'store'

export function createHomedStores({ self, country, pops, snapshot }: HomedStoresOptions): HomedStores {
  const handlers = new Map<ResourceKind, StoreHandler>()

  function resource({ kind, id }: StoreName): { readonly within?: Within; readonly hint?: string } {
    const found = resourceOf(snapshot(), kind, id)
    if (found === undefined) throw new EdgeError('store_unknown', `There is no ${kind} ${id}.`)
    const within = withinOfStore(snapshot(), id)
    return { ...(within && { within }), ...(found.hint !== undefined && { hint: found.hint }) }
  }

  async function home(store: StoreName): Promise<NodeId> {
    const { within } = resource(store)
    if (pops === undefined) return here(within)
    return pops.homes.home({ key: `store-${store.kind}`, id: store.id }, () => resource(store))
  }

  /** The only node keeps what may be in its country. */
  function here(within: Within | undefined): NodeId {
    if (allows(within, country)) return self
    const where = describeWithin(within)
    throw new EdgeError('not_here', `This may live in ${where}, and the only node of this platform is in ${country}.`)
  }

  async function answer(call: StoreCall): Promise<StoreAnswer> {
    const handler = handlers.get(call.kind)
    if (handler === undefined) throw new EdgeError('internal', `Nothing here keeps a ${call.kind}.`)
    return handler(call)
  }

  pops?.mesh.serve(topic, ({ head, body, signal }) => {
    const { kind, id, operation, rest } = head as unknown as StoreName & { operation: string; rest: MeshHead }
    return answer({ kind, id, operation, head: rest, body, signal })
  })

  return {
    self,
    home,
    serve: (kind, handler) => void handlers.set(kind, handler),
    async call(call) {
      const { kind, id, operation, head: rest = {}, body = null, signal } = call
      const node = await home(call)
      if (node === self || pops === undefined) return answer(call)
      return pops.mesh.ask(node, topic, { head: { kind, id, operation, rest }, body, ...(signal && { signal }) })
    },
  }
}
