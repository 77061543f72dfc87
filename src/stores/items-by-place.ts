/** Item stores that lie on different nodes of one process, as one: each call goes to a node that holds what it asks for. */
import type { ItemStoreKind } from '#/core/item-stores.ts'
import type { HeldItemStores } from './item-stores.ts'

/** At least one; what none of them holds is refused by the first, which says where it stays. */
export function itemsByPlace(nodes: readonly HeldItemStores[]): HeldItemStores {
  const first = nodes[0]!
  const at = (kind: ItemStoreKind, id: string) => nodes.find((stores) => stores.isHere(kind, id)) ?? first
  return {
    all: (kind) => first.all(kind).map((store) => at(kind, store.id).find(kind, store.id) ?? store),
    find: (kind, id) => at(kind, id).find(kind, id),
    create: (kind, name) => first.create(kind, name),
    rename: (kind, id, name) => at(kind, id).rename(kind, id, name),
    remove: (kind, id) => at(kind, id).remove(kind, id),
    items: (kind, id) => at(kind, id).items(kind, id),
    edit: (kind, id, changes) => at(kind, id).edit(kind, id, changes),
    revision: (kind, id) => at(kind, id).revision(kind, id),
    isHere: (kind, id) => at(kind, id).isHere(kind, id),
    place: (placements) => first.place(placements),
    close: () => first.close(),
  }
}
