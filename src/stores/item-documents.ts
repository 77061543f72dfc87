/**
 * Where the documents of item stores lie. One that may be anywhere lies in the bucket `item-stores`; of one that stays in
 * its countries that bucket has a reference with its name and countries, and the document is in a bucket that only nodes
 * there hold. The reference is written last when a document moves: it says where to look.
 */
import { EdgeError } from '#/core/errors.ts'
import type { ItemStore, StoreItem } from '#/core/item-stores.ts'
import { allows, type CountryCode, type Within } from '#/core/pops.ts'
import type { Bucket, Entry, Fabric, Revision } from '#/core/ports.ts'

export type Items = ReadonlyMap<string, StoreItem>

export interface HeldDocument {
  readonly store: ItemStore
  /** Undefined: with nodes elsewhere. */
  readonly items: Items | undefined
  /** Absent: anywhere. */
  readonly within: Within | undefined
  /** Of what stands in `item-stores`. */
  readonly revision: Revision
  /** Of the document, where it lies elsewhere than there. */
  readonly placedRevision: Revision
  /** Somebody is moving it: it is not changed until it is where it goes. */
  readonly isMoving: boolean
  /** Grows with each change that this node learns of. */
  readonly serial: number
}

export interface ItemDocuments {
  readonly held: ReadonlyMap<string, HeldDocument>
  /** Of documents that may be anywhere, and of references. */
  readonly root: Bucket
  /** May what stays in these countries lie at this node? */
  mayHold(within: Within | undefined): boolean
  /** The bucket of what stays in these countries, kept up from now on. */
  open(within: Within | undefined): Promise<Bucket>
  /** Takes up what stands in a bucket. */
  keep(within: Within | undefined, key: string, entry: Entry | undefined): void
  close(): void
}

export interface DocumentParts {
  readonly fabric: Pick<Fabric, 'bucket'>
  /** Of this node; absent: it may hold everything. */
  readonly country?: CountryCode
  /** Hears of each document that may lie here no more, and of each that went elsewhere. */
  readonly onMoved?: () => void
}

interface Read {
  readonly store: ItemStore
  readonly items: Items | undefined
  readonly within: Within | undefined
  readonly isMoving: boolean
  readonly revision: Revision
}

const page = 100

export const placedName = (within: Within | undefined): string =>
  within === undefined ? 'item-stores' : `item-stores@${[...within].sort().join(',')}`

/** Reads every store. Rejects when one cannot be read: a store that is silently missing would change what programs do. */
export async function openItemDocuments({ fabric, country, onMoved }: DocumentParts): Promise<ItemDocuments> {
  /** By bucket and key. */
  const read = new Map<string, Read>()
  const held = new Map<string, HeldDocument>()
  const opened = new Map<string, Promise<Bucket>>()
  const stops: (() => void)[] = []
  let serial = 0

  const mayHold = (within: Within | undefined) => country === undefined || allows(within, country)
  const at = (within: Within | undefined, key: string) => read.get(`${placedName(within)} ${key}`)

  function open(within: Within | undefined): Promise<Bucket> {
    const name = placedName(within)
    const known = opened.get(name) ?? load(within, name)
    opened.set(name, known)
    known.catch(() => opened.delete(name))
    return known
  }

  async function load(within: Within | undefined, name: string): Promise<Bucket> {
    const bucket = within === undefined ? fabric.bucket(name) : fabric.bucket(name, { within })
    const stop = bucket.watch('', (change) =>
      change.kind === 'delete' ? keep(within, change.key, undefined) : keep(within, change.entry.key, change.entry),
    )
    try {
      for (let after = ''; ; ) {
        const entries = await bucket.list({ limit: page, ...(after !== '' && { after }) })
        for (const entry of entries) keep(within, entry.key, entry)
        if (entries.length < page) break
        after = entries.at(-1)!.key
      }
    } catch (error) {
      stop()
      throw error
    }
    stops.push(stop)
    return bucket
  }

  /** News may overtake each other: the later revision stays. */
  function keep(within: Within | undefined, key: string, entry: Entry | undefined): void {
    const place = `${placedName(within)} ${key}`
    if (entry === undefined) {
      // The last of what lay in a place that it left.
      if (read.delete(place) && within !== undefined) onMoved?.()
    } else if ((read.get(place)?.revision ?? 0) < entry.revision) read.set(place, decode(entry))
    else return
    compose(key)
  }

  function compose(key: string): void {
    const before = held.get(key)
    const root = at(undefined, key)
    if (root === undefined) {
      held.delete(key)
      return
    }
    const { within, revision } = root
    serial++
    if (within === undefined) return void held.set(key, { ...root, placedRevision: 0, serial })
    const placed = at(within, key)
    // Its new place is being read: until then it is what it was.
    const items = placed?.items ?? (mayHold(within) ? before?.items : undefined)
    const modifiedAt = placed?.store.modifiedAt ?? root.store.modifiedAt
    const placedRevision = placed?.revision ?? 0
    const isMoving = placed?.isMoving ?? false
    const store = { ...root.store, modifiedAt }
    held.set(key, { store, items, within, revision, placedRevision, isMoving, serial })
    if (mayHold(within)) open(within).catch(() => {})
    if (before !== undefined && placedName(before.within) !== placedName(within)) onMoved?.()
  }

  const root = await open(undefined)
  for (const { within } of [...held.values()]) if (mayHold(within)) await open(within)
  return {
    held,
    root,
    mayHold,
    open,
    keep,
    close() {
      for (const stop of stops) stop()
    },
  }
}

/** A document where `items` are there, else a reference to one. */
export function encode(
  store: ItemStore,
  items: Items | undefined,
  how: { readonly within?: Within | undefined; readonly isMoving?: true } = {},
): Buffer {
  return Buffer.from(JSON.stringify({ ...store, ...how, ...(items && { items: [...items.values()] }) }))
}

function decode({ key, value, revision }: Entry): Read {
  try {
    const parsed = JSON.parse(Buffer.from(value).toString('utf8')) as ItemStore & {
      items?: StoreItem[]
      within?: Within
      isMoving?: true
    }
    const { items, within, isMoving = false, ...store } = parsed
    return { store, items: items && new Map(items.map((item) => [item.key, item])), within, isMoving, revision }
  } catch (error) {
    throw new EdgeError('internal', `The store '${key}' cannot be read.`, { cause: error })
  }
}
