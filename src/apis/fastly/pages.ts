/** Lists that are read page by page: `limit` and `cursor` in, `meta.next_cursor` out. */
import type { Context } from 'hono'
import { badRequest } from './errors.ts'

export interface Page<Item> {
  readonly items: readonly Item[]
  readonly limit: number
  readonly next?: string
}

/** `keyOf` is unique and grows along `all`; a cursor is the last key of the page before. Throws a `FastlyError` (400). */
export function pageOf<Item>(
  c: Context,
  all: readonly Item[],
  keyOf: (item: Item) => string,
  most: number,
): Page<Item> {
  const limit = readLimit(c, most)
  const cursor = c.req.query('cursor') ?? ''
  const after = cursor === '' ? undefined : Buffer.from(cursor, 'base64url').toString()
  if (after !== undefined && Buffer.from(after).toString('base64url') !== cursor)
    throw badRequest('The cursor is not ours.')
  const rest = after === undefined ? all : all.filter((item) => keyOf(item) > after)
  const items = rest.slice(0, limit)
  const last = items.at(-1)
  const more = rest.length > limit && last !== undefined
  return { items, limit, ...(more && { next: Buffer.from(keyOf(last)).toString('base64url') }) }
}

export function readLimit(c: Context, most: number): number {
  const text = c.req.query('limit') ?? '100'
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (limit < 1 || limit > most) throw badRequest(`limit is a number of 1 to ${most}, not '${text.slice(0, 20)}'.`)
  return limit
}
