/** Moves the document of an item store to where its placement says, by whichever node may hold it in both places. */
import type { Within } from '#/core/pops.ts'
import { intersect, sameWithin } from '#/core/residency.ts'
import { encode, type HeldDocument, type ItemDocuments } from './item-documents.ts'

/** Each attempt fails only when somebody else changed the store in between. */
const attempts = 20

/** True when it moved. False also where another node has to do it. */
export async function moveItems(documents: ItemDocuments, key: string, wanted: Within | undefined): Promise<boolean> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const before = documents.held.get(key)
    if (before === undefined) return false
    const to = nextPlace(documents, before.within, wanted)
    if (to === 'stay') return false
    if (await moveOnce(documents, key, before, to.within)) return true
  }
  return false
}

/** Where no node may hold it before and after, it goes through a place that both may. */
function nextPlace(
  documents: ItemDocuments,
  from: Within | undefined,
  wanted: Within | undefined,
): 'stay' | { readonly within: Within | undefined } {
  if (placesAreSame(from, wanted) || !documents.mayHold(from)) return 'stay'
  if (documents.mayHold(wanted)) return { within: wanted }
  if (from === undefined || wanted === undefined || intersect(from, wanted)!.length > 0) return 'stay'
  return { within: [...new Set([...from, ...wanted])].sort() }
}

const placesAreSame = (one: Within | undefined, other: Within | undefined) =>
  one === undefined || other === undefined ? one === other : sameWithin(one, other)

/**
 * The order keeps changes from being lost: what stands in the new place is read before the reference, so that nobody has
 * written there since it counts; a placed document is marked before it is copied, and whoever changes it then waits.
 */
async function moveOnce(
  documents: ItemDocuments,
  key: string,
  before: HeldDocument,
  to: Within | undefined,
): Promise<boolean> {
  const { root } = documents
  const target = to && (await documents.open(to))
  const stands = (await target?.get(key))?.revision ?? 0
  const now = await readNow(documents, key, before.within)
  if (now?.items === undefined) return false
  const copied = encode(now.store, now.items)
  if (before.within !== undefined && !(await mark(documents, key, before.within, now))) return false
  if (target !== undefined) {
    const revision = await target.put(key, copied, { expect: stands })
    if (revision === undefined) return false
    documents.keep(to, key, { key, value: copied, revision })
  }
  const value = to === undefined ? copied : encode(now.store, undefined, { within: to })
  const revision = await root.put(key, value, { expect: now.revision })
  if (revision === undefined) return false
  documents.keep(undefined, key, { key, value, revision })
  if (before.within === undefined) return true
  await (await documents.open(before.within)).delete(key)
  documents.keep(before.within, key, undefined)
  return true
}

/** As it stands on disk; undefined where it lies there no more. */
async function readNow(
  documents: ItemDocuments,
  key: string,
  within: Within | undefined,
): Promise<HeldDocument | undefined> {
  documents.keep(undefined, key, await documents.root.get(key))
  const now = documents.held.get(key)
  if (now === undefined || !placesAreSame(now.within, within)) return undefined
  if (within === undefined) return now
  documents.keep(within, key, await (await documents.open(within)).get(key))
  return documents.held.get(key)
}

async function mark(documents: ItemDocuments, key: string, within: Within, now: HeldDocument): Promise<boolean> {
  const value = encode(now.store, now.items, { isMoving: true })
  const source = await documents.open(within)
  const revision = await source.put(key, value, { expect: now.placedRevision })
  if (revision !== undefined) documents.keep(within, key, { key, value, revision })
  return revision !== undefined
}
