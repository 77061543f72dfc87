/** A stored beginning and the rest from the origin make a whole: RFC 9111 §3.4. */
import { Readable } from 'node:stream'
import type { EgressAnswer } from '#/core/ports.ts'
import { headerValue } from '#/http/header-list.ts'
import { policyOf } from './may-reuse.ts'
import type { StoredAnswer } from './store.ts'
import { updatedFields } from './stored-fields.ts'

export interface Rest {
  /** `Range` of what is missing. */
  readonly field: string
  /** Strong validator: without one, parts of different versions could meet. */
  readonly ifRange: string
}

/** What to ask for; undefined where the part cannot be completed. */
export function restOf({ head, bodyBytes }: StoredAnswer): Rest | undefined {
  const { etag } = policyOf(head)
  if (etag === undefined || !etag.startsWith('"') || head.partial?.start !== 0) return undefined
  if (head.partial.total === undefined || bodyBytes >= head.partial.total) return undefined
  return { field: `bytes=${bodyBytes}-`, ifRange: etag }
}

/** The whole as the origin would have sent it; undefined when what came is not the rest of this. */
export function completed(beginning: StoredAnswer, rest: EgressAnswer): EgressAnswer | undefined {
  const { head, bodyBytes } = beginning
  const total = head.partial!.total!
  if (headerValue(rest.headers, 'etag') !== policyOf(head).etag) return undefined
  if (headerValue(rest.headers, 'content-range') !== `bytes ${bodyBytes}-${total - 1}/${total}`) return undefined
  const described = updatedFields([...head.headers, ...(policyOf(head).surrogate ?? [])], rest.headers)
  return {
    status: 200,
    headers: [...described, 'content-length', String(total)],
    body: Readable.from(both(beginning, rest), { objectMode: false }),
  }
}

async function* both(beginning: StoredAnswer, { body }: EgressAnswer) {
  const bytes = beginning.bytes()
  if (bytes !== undefined) yield bytes
  else yield* beginning.stream() as AsyncIterable<Uint8Array>
  if (body instanceof Uint8Array) yield body
  else if (body !== null) yield* body as AsyncIterable<Uint8Array>
}
