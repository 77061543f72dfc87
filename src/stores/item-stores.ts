/**
 * Stores of short items: one document a store in the bucket `item-stores`, all of them in memory too, so that reading one
 * costs a look into a map. Changes of other points of presence arrive by watching the bucket.
 */
import { randomInt } from 'node:crypto'
import { EdgeError } from '#/core/errors.ts'
import type {
  ItemChange,
  ItemStore,
  ItemStoreKind,
  ItemStoreOutcome,
  ItemStores,
  StoreItem,
} from '#/core/item-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { Entry, Fabric, Revision } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'

export interface HeldItemStores extends ItemStores {
  /** Grows with each change of the store; 0 where there is none. For what is made of a store's items. */
  revision(kind: ItemStoreKind, id: string): Revision
  close(): void
}

interface Held {
  readonly store: ItemStore
  readonly items: ReadonlyMap<string, StoreItem>
  readonly revision: Revision
}

interface Parts {
  readonly fabric: Pick<Fabric, 'bucket'>
  readonly limits: Pick<Limits, 'itemStores' | 'itemStoreItems' | 'itemStoreBytes'>
  readonly clock: Clock
}

const page = 100
/** Each attempt fails only when another point of presence got in between. */
const attempts = 20

/** Reads every store. Rejects when one cannot be read: a store that is silently missing would change what programs do. */
export async function openItemStores({ fabric, limits, clock }: Parts): Promise<HeldItemStores> {
  const bucket = fabric.bucket('item-stores')
  const held = new Map<string, Held>()
  const close = bucket.watch('', (change) => {
    if (change.kind === 'delete') held.delete(change.key)
    else keep(change.entry)
  })
  for (let after = ''; ; ) {
    const entries = await bucket.list({ limit: page, ...(after !== '' && { after }) })
    for (const entry of entries) keep(entry)
    if (entries.length < page) break
    after = entries.at(-1)!.key
  }

  /** News may overtake each other: the later revision stays. */
  function keep(entry: Entry): void {
    if ((held.get(entry.key)?.revision ?? 0) < entry.revision) held.set(entry.key, decode(entry))
  }

  const keyOf = (kind: ItemStoreKind, id: string) => `${kind}/${id}`
  const all = (kind: ItemStoreKind) =>
    [...held.values()]
      .filter(({ store }) => store.kind === kind)
      .map(({ store }) => store)
      .sort((one, other) => one.createdAt - other.createdAt || (one.id < other.id ? -1 : 1))
  const isTaken = (kind: ItemStoreKind, name: string) => all(kind).some((store) => store.name === name)

  let last: Promise<unknown> = Promise.resolve()
  /** One change after the other. */
  function inOrder<Result>(task: () => Promise<Result>): Promise<Result> {
    const run = last.then(task)
    last = run.catch(() => {})
    return run
  }

  async function write(store: ItemStore, items: ReadonlyMap<string, StoreItem>, expect: Revision) {
    const value = Buffer.from(JSON.stringify({ ...store, items: [...items.values()] }))
    if (items.size > limits.itemStoreItems) return { ok: false, why: 'too_many' } as const
    if (value.length > limits.itemStoreBytes) return { ok: false, why: 'too_large' } as const
    const revision = await bucket.put(keyOf(store.kind, store.id), value, { expect })
    if (revision === undefined) return undefined
    keep({ key: keyOf(store.kind, store.id), value, revision })
    return { ok: true, result: store } as const
  }

  /** `decide` is asked anew when somebody else was faster. */
  function change(
    kind: ItemStoreKind,
    id: string,
    decide: (before: Held) => ItemStoreOutcome<Pick<Held, 'store' | 'items'>>,
  ): Promise<ItemStoreOutcome<ItemStore>> {
    return inOrder(async () => {
      for (let attempt = 0; attempt < attempts; attempt++) {
        const before = held.get(keyOf(kind, id))
        if (before === undefined) return { ok: false, why: 'no_store' }
        const decided = decide(before)
        if (!decided.ok) return decided
        const written = await write(decided.result.store, decided.result.items, before.revision)
        if (written !== undefined) return written
        const entry = await bucket.get(keyOf(kind, id))
        if (entry === undefined) held.delete(keyOf(kind, id))
        else keep(entry)
      }
      throw new EdgeError('overloaded', `Too many changes to the store ${id} at once.`)
    })
  }

  return {
    all,
    close,
    find: (kind, id) => held.get(keyOf(kind, id))?.store,
    items: (kind, id) => held.get(keyOf(kind, id))?.items,
    revision: (kind, id) => held.get(keyOf(kind, id))?.revision ?? 0,
    create: (kind, name) =>
      inOrder(async () => {
        if (isTaken(kind, name)) return { ok: false, why: 'name_taken' }
        if (held.size >= limits.itemStores) return { ok: false, why: 'too_many' }
        const now = clock()
        const store = { id: newId(), kind, name, createdAt: now, modifiedAt: now }
        const written = await write(store, new Map(), 0)
        if (written === undefined) throw new EdgeError('internal', 'Two stores were given the same id.')
        return written
      }),
    rename: (kind, id, name) =>
      change(kind, id, ({ store, items }) => {
        if (store.name !== name && isTaken(kind, name)) return { ok: false, why: 'name_taken' }
        return { ok: true, result: { store: { ...store, name, modifiedAt: clock() }, items } }
      }),
    remove: (kind, id) =>
      inOrder(async () => {
        const there = await bucket.delete(keyOf(kind, id))
        held.delete(keyOf(kind, id))
        return there
      }),
    edit: (kind, id, changes) =>
      change(kind, id, ({ store, items }) => {
        const changed = applyChanges(items, changes, clock())
        if (!changed.ok) return changed
        return { ok: true, result: { store: { ...store, modifiedAt: clock() }, items: changed.result } }
      }),
  }
}

/** Pure: the items after all changes, or the first that does not fit. */
export function applyChanges(
  before: ReadonlyMap<string, StoreItem>,
  changes: readonly ItemChange[],
  now: number,
): ItemStoreOutcome<ReadonlyMap<string, StoreItem>> {
  const items = new Map(before)
  for (const { op, key, value } of changes) {
    const old = items.get(key)
    if (op === 'create' && old !== undefined) return { ok: false, why: 'item_taken', key }
    if ((op === 'update' || op === 'delete') && old === undefined) return { ok: false, why: 'no_item', key }
    if (op === 'delete') items.delete(key)
    else items.set(key, { key, value, createdAt: old?.createdAt ?? now, modifiedAt: now })
  }
  return { ok: true, result: items }
}

function decode({ key, value, revision }: Entry): Held {
  try {
    const { items, ...store } = JSON.parse(Buffer.from(value).toString('utf8')) as ItemStore & { items: StoreItem[] }
    return { store, items: new Map(items.map((item) => [item.key, item])), revision }
  } catch (error) {
    throw new EdgeError('internal', `The store '${key}' cannot be read.`, { cause: error })
  }
}

const letters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** 22 letters and digits. */
function newId(): string {
  return Array.from({ length: 22 }, () => letters[randomInt(letters.length)]).join('')
}
