/** Uses of a stored answer in another content coding. */
import type { HeaderList } from '#/core/exchange.ts'
import type { StoredUse } from '#/core/stored-use.ts'
import type { Coding } from '#/http/accept-encoding.ts'
import { codedHeaders } from './compress-plan.ts'

/** By the stored fields, which go with the stored answer; one list a coding. */
const known = new WeakMap<HeaderList, Map<Coding, HeaderList>>()

/** The same use with `body`, which is the stored one in this coding. Its stored fields are one list for all such uses too. */
export function codedUse(use: StoredUse, coding: Coding, body: Uint8Array): StoredUse {
  let lists = known.get(use.fixed)
  if (lists === undefined) {
    lists = new Map()
    known.set(use.fixed, lists)
  }
  let fixed = lists.get(coding)
  if (fixed === undefined) {
    fixed = codedHeaders(use.fixed, coding)
    lists.set(coding, fixed)
  }
  return use.withBody(fixed, body)
}
