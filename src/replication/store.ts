/** What every part of the replicas works on: the rows, what is seen, the time, and who may hold what. */
import { EdgeError } from '#/core/errors.ts'
import type { GroupCommit } from '#/core/group-commit.ts'
import type { Limits } from '#/core/limits.ts'
import type { Listeners } from '#/core/listeners.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { Within } from '#/core/pops.ts'
import type { Change } from '#/core/ports.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import type { Row, Scope } from './operation.ts'
import type { PlatformClock } from './platform-clock.ts'
import type { RowReader } from './read-rows.ts'
import type { Seen } from './seen.ts'
import { mayHold, scopeOf } from './vector.ts'
import type { Answer, Operation } from './write-rows.ts'

export interface BucketChange {
  readonly bucket: string
  readonly change: Change
}

export interface Store {
  readonly mesh: Mesh
  readonly writer: GroupCommit<Operation, Answer>
  readonly reader: RowReader
  readonly seen: Seen
  readonly clock: PlatformClock
  readonly watchers: Listeners<BucketChange>
  readonly limits: Limits
  readonly log: (message: string, facts?: object) => void
  readonly withinOf: (bucket: string) => Within | undefined
  readonly blobOf: (bucket: string, value: Uint8Array) => BlobHash | undefined
}

export function scopeNow({ withinOf }: Pick<Store, 'withinOf'>, bucket: string): Scope {
  return scopeOf(withinOf(bucket))
}

export function isHere(store: Pick<Store, 'withinOf' | 'mesh'>, bucket: string): boolean {
  return mayHold(scopeNow(store, bucket), store.mesh.self.country)
}

/** Throws `not_here`. */
export function refuseElsewhere(store: Pick<Store, 'withinOf' | 'mesh'>, bucket: string): void {
  if (isHere(store, bucket)) return
  const { node, country } = store.mesh.self
  throw new EdgeError('not_here', `${bucket} may lie in ${scopeNow(store, bucket)} only; ${node} is in ${country}.`)
}

/** Calls those who watch; `at` is the new revision. */
export function tellChange({ watchers }: Pick<Store, 'watchers'>, row: Omit<Row, 'seq' | 'time'>, at: number): void {
  const { bucket, key, value, expiresAt } = row
  const change: Change =
    value === undefined
      ? { kind: 'delete', key }
      : { kind: 'put', entry: { key, value, revision: at, ...(expiresAt !== undefined && { expiresAt }) } }
  const matches = (watched: string) =>
    watched.startsWith(`${bucket}\0`) && key.startsWith(watched.slice(bucket.length + 1))
  watchers.tell(matches, { bucket, change })
}

/** Writes down what was seen since the last time; the rows themselves are on disk already. */
export function noteSeen({ seen, writer, log }: Pick<Store, 'seen' | 'writer' | 'log'>): void {
  const changed = seen.takeChanged()
  if (changed.length === 0) return
  // Lost, it costs that these rows are asked for once more.
  writer.submit({ kind: 'note', seen: changed }).catch((error) => log('what was seen was not written', { err: error }))
}
