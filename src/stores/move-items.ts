/** Moves the document of an item store to where its placement says, by whichever node may hold it in both places. */
import type { Within } from '#/core/pops.ts'
import type { Entry } from '#/core/ports.ts'
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

async function moveOnce(
  documents: ItemDocuments,
  key: string,
  before: HeldDocument,
  to: Within | undefined,
): Promise<boolean> {
  const { root } = documents
  const source = await documents.open(before.within)
  const [rootEntry, entry] = [await root.get(key), await source.get(key)]
  documents.keep(undefined, key, rootEntry)
  if (before.within !== undefined) documents.keep(before.within, key, entry)
  const now = documents.held.get(key)
  if (now?.items === undefined || rootEntry === undefined || entry === undefined) return false
  if (!placesAreSame(now.within, before.within)) return false
  if (to !== undefined && !(await putInto(documents, key, to, now))) return false
  const value = to === undefined ? encode(now.store, now.items) : encode(now.store, undefined, to)
  const revision = await root.put(key, value, { expect: rootEntry.revision })
  if (revision === undefined) return false
  documents.keep(undefined, key, { key, value, revision })
  if (before.within !== undefined) await removeFrom(documents, key, before.within, entry, to)
  return true
}

/** Written over what an attempt before left there; not over what another node put there meanwhile. */
async function putInto(documents: ItemDocuments, key: string, to: Within, now: HeldDocument): Promise<boolean> {
  const target = await documents.open(to)
  const value = encode(now.store, now.items)
  const revision = await target.put(key, value, { expect: (await target.get(key))?.revision ?? 0 })
  if (revision !== undefined) documents.keep(to, key, { key, value, revision })
  return revision !== undefined
}

/** What was written to the old place until the reference said otherwise comes along. */
async function removeFrom(
  documents: ItemDocuments,
  key: string,
  from: Within,
  copied: Entry,
  to: Within | undefined,
): Promise<void> {
  const source = await documents.open(from)
  for (let known: Entry | undefined = copied; known !== undefined; known = await source.get(key)) {
    if (await source.delete(key, { expect: known.revision })) return documents.keep(from, key, undefined)
    const late = await source.get(key)
    if (late === undefined) return
    const target = await documents.open(to)
    const there = await target.get(key)
    if (there === undefined) return
    await target.put(key, late.value, { expect: there.revision })
    known = late
  }
}
