/** What the stores of short items refuse, in Fastly's envelope. */
import type { ItemStoreOutcome } from '#/core/item-stores.ts'
import type { Limits } from '#/core/limits.ts'
import { badRequest, FastlyError, notFound } from './errors.ts'

/** The result, or a `FastlyError`. `label` names the store's kind: `config store`. */
export function settled<Result>(outcome: ItemStoreOutcome<Result>, label: string, limits: Limits): Result {
  if (outcome.ok) return outcome.result
  const key = (outcome.key ?? '').slice(0, 100)
  switch (outcome.why) {
    case 'no_store':
      throw noStore(label)
    case 'name_taken':
      throw new FastlyError(409, 'Duplicate record', `There is a ${label} of this name already.`)
    case 'item_taken':
      throw new FastlyError(409, 'Duplicate record', `There is an item '${key}' in this ${label} already.`)
    case 'no_item':
      throw notFound(`There is no item '${key}' in this ${label}.`)
    case 'too_large':
      throw badRequest(`A ${label} holds at most ${limits.itemStoreBytes} bytes in all.`)
    case 'too_many':
      throw badRequest(
        `This is more than ${limits.itemStoreItems} items in a ${label}, or than ${limits.itemStores} stores in all.`,
      )
  }
}

export function noStore(label: string): FastlyError {
  return notFound(`There is no such ${label}.`)
}

/** Throws a `FastlyError` (400). */
export function checkStoreName(
  name: unknown,
  { itemStoreNameBytes: most }: Pick<Limits, 'itemStoreNameBytes'>,
): string {
  if (typeof name !== 'string' || name.trim() === '' || Buffer.byteLength(name) > most || /[\x00-\x1f]/.test(name))
    throw badRequest(`A store has a name of 1 to ${most} bytes.`)
  return name
}
