/** What makes two stored answers the same one: within a key, the variant and the part. */
import type { StoredHead } from './store.ts'

/** First byte of a part; -1 for a complete answer. */
export function partStart(head: StoredHead): number {
  return head.partial === undefined ? -1 : head.partial.start
}

/** Whether a newly stored head takes the place of an older one of the same key. */
export function replaces(fresh: StoredHead, old: StoredHead): boolean {
  return fresh.variant === old.variant && (fresh.partial === undefined || partStart(fresh) === partStart(old))
}

/** Whether two heads of the same key are of the same variant and part. */
export function sameIdentity(one: StoredHead, other: StoredHead): boolean {
  return one.variant === other.variant && partStart(one) === partStart(other)
}

/** Whether two heads of the same identity come from the same fetch or revalidation. */
export function sameFetch(one: StoredHead, other: StoredHead): boolean {
  return one.sequence === other.sequence && one.receivedAt === other.receivedAt && one.requestedAt === other.requestedAt
}

/** Key, variant and part as one string, for maps of what is under way. */
export function identityOf(head: StoredHead): string {
  return `${head.key}\n${head.variant}\n${partStart(head)}`
}
