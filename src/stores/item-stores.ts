/**
 * Stores of short items: one document a store, those that may be here in memory too, so that reading one
 * costs a look into a map. Changes of other points of presence arrive by watching the bucket.
 */
import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
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
import type { CountryCode, Within } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import { describeWithin } from '#/core/residency.ts'
import type { Clock, Milliseconds } from '#/core/units.ts'
import { encode, type HeldDocument, type Items, openItemDocuments } from './item-documents.ts'
import { moveItems } from './move-items.ts'

export interface HeldItemStores extends ItemStores {
  /** Grows with each change of the store; 0 where there is none. For what is made of a store's items. */
  revision(kind: ItemStoreKind, id: string): number
  /** It is there, and what it holds lies at this node. */
  isHere(kind: ItemStoreKind, id: string): boolean
  /**
   * Countries of stores by their ids; absent: all may be anywhere. Resolves when what this node may move lies there, and is
   * overwritten where it was.
   */
  place(placements: ReadonlyMap<string, Within> | undefined): Promise<void>
  close(): void
}

type Held = HeldDocument & { readonly items: Items }

interface Parts {
  readonly fabric: Pick<Fabric, 'bucket' | 'clean'>
  readonly limits: Pick<Limits, 'itemStores' | 'itemStoreItems' | 'itemStoreBytes'>
  readonly clock: Clock
  /** Of this node: what stays elsewhere is not read. Absent: it may hold everything. */
  readonly country?: CountryCode
  /** Hears what could not be moved or cleared away; it is tried again with the next change. */
  readonly report?: (error: unknown) => void
}

/** Each attempt fails only when another point of presence got in between. */
const attempts = 20
const movingMs: Milliseconds = 25

/** Reads every store. Rejects when one cannot be read: a store that is silently missing would change what programs do. */
export async function openItemStores({ fabric, limits, clock, country, report }: Parts): Promise<HeldItemStores> {
  let placements: ReadonlyMap<string, Within> | undefined
  let isOpen = false
  /** Something went from here whose bytes may lie on the disk still. */
  let isDirty = false
  const documents = await openItemDocuments({
    fabric,
    ...(country !== undefined && { country }),
    onMoved() {
      isDirty = true
      if (isOpen) settle().catch((error) => report?.(error))
    },
  })
  const { held, root } = documents

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

  /** What lies here; throws `not_here` where it does not. */
  function here(kind: ItemStoreKind, id: string): Held | undefined {
    const found = held.get(keyOf(kind, id))
    if (found === undefined) return undefined
    if (found.items !== undefined) return found as Held
    const where = describeWithin(found.within)
    throw new EdgeError('not_here', `What the store "${found.store.name}" holds stays in ${where}, and is not here.`)
  }

  async function write(store: ItemStore, items: Items, before?: Held) {
    const value = encode(store, items)
    if (items.size > limits.itemStoreItems) return { ok: false, why: 'too_many' } as const
    if (value.length > limits.itemStoreBytes) return { ok: false, why: 'too_large' } as const
    const within = before?.within
    const key = keyOf(store.kind, store.id)
    const bucket = within === undefined ? root : await documents.open(within)
    const expect = (within === undefined ? before?.revision : before?.placedRevision) ?? 0
    const revision = await bucket.put(key, value, { expect })
    if (revision === undefined) return undefined
    documents.keep(within, key, { key, value, revision })
    return { ok: true, result: store } as const
  }

  /** Of what lies elsewhere the reference has the name. */
  async function writeName(store: ItemStore, { within, revision: expect }: HeldDocument) {
    const key = keyOf(store.kind, store.id)
    const value = encode(store, undefined, { within })
    const revision = await root.put(key, value, { expect })
    if (revision === undefined) return undefined
    documents.keep(undefined, key, { key, value, revision })
    return { ok: true, result: store } as const
  }

  /** As it stands on disk now. */
  async function readAgain(key: string): Promise<void> {
    documents.keep(undefined, key, await root.get(key))
    const within = held.get(key)?.within
    if (within !== undefined && documents.mayHold(within))
      documents.keep(within, key, await (await documents.open(within)).get(key))
  }

  /** Who can finishes it: who began may be gone. */
  async function waitUntilMoved(key: string, id: string): Promise<void> {
    if (await moveItems(documents, key, placements?.get(id))) return
    await pause(movingMs)
    await readAgain(key)
  }

  /** `decide` is asked anew when somebody else was faster. */
  function change(
    kind: ItemStoreKind,
    id: string,
    decide: (before: Held) => ItemStoreOutcome<Pick<Held, 'store' | 'items'>>,
  ): Promise<ItemStoreOutcome<ItemStore>> {
    return inOrder(async () => {
      for (let attempt = 0; attempt < attempts; attempt++) {
        const before = here(kind, id)
        if (before === undefined) return { ok: false, why: 'no_store' }
        if (before.isMoving) {
          await waitUntilMoved(keyOf(kind, id), id)
          continue
        }
        const decided = decide(before)
        if (!decided.ok) return decided
        const { store, items } = decided.result
        const isRenamed = before.within !== undefined && store.name !== before.store.name
        const written = isRenamed ? await writeName(store, before) : await write(store, items, before)
        if (written !== undefined) return written
        await readAgain(keyOf(kind, id))
      }
      throw new EdgeError('overloaded', `Too many changes to the store ${id} at once.`)
    })
  }

  /** Moves what does not lie where it stays; resolves when nothing of it is left where it was. */
  function settle(): Promise<void> {
    return inOrder(async () => {
      for (const [key, { store }] of [...held])
        if (await moveItems(documents, key, placements?.get(store.id))) isDirty = true
      if (!isDirty) return
      isDirty = false
      try {
        await fabric.clean?.()
      } catch (error) {
        isDirty = true
        throw error
      }
    })
  }
  isOpen = true

  return {
    all,
    close: documents.close,
    find: (kind, id) => held.get(keyOf(kind, id))?.store,
    isHere: (kind, id) => held.get(keyOf(kind, id))?.items !== undefined,
    items: (kind, id) => here(kind, id)?.items,
    revision: (kind, id) => held.get(keyOf(kind, id))?.serial ?? 0,
    place(next) {
      placements = next
      return settle()
    },
    create: (kind, name) =>
      inOrder(async () => {
        if (isTaken(kind, name)) return { ok: false, why: 'name_taken' }
        if (held.size >= limits.itemStores) return { ok: false, why: 'too_many' }
        const now = clock()
        const store = { id: newId(), kind, name, createdAt: now, modifiedAt: now }
        const written = await write(store, new Map())
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
        const key = keyOf(kind, id)
        const before = here(kind, id)
        if (before?.within !== undefined) await (await documents.open(before.within)).delete(key)
        const there = await root.delete(key)
        documents.keep(undefined, key, undefined)
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

const letters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** 22 letters and digits. */
function newId(): string {
  return Array.from({ length: 22 }, () => letters[randomInt(letters.length)]).join('')
}
