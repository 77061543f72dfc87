/** What the line of changes offers the control plane, and what it needs. */
import type { Limits } from '#/core/limits.ts'
import type { Fabric } from '#/core/ports.ts'
import type { BlobHash, ProgramName, Snapshot } from '#/core/snapshot.ts'
import type { Clock } from '#/core/units.ts'
import type { Change, State } from './fold.ts'
import type { RecordOwner } from './record-books.ts'
import type { ProgramRecord, VersionRecord } from './records.ts'

export interface Ledger {
  readonly state: State
  /** Its revision is that of the last change that is served. */
  readonly snapshot: Snapshot
  /** Records left out, each with the reason; entries of the log that cannot be read. */
  readonly problems: readonly string[]
  /** Why later changes are neither followed nor made here: an entry of the log that this release cannot read. */
  readonly stuck: string | undefined
  onSnapshot(listener: (snapshot: Snapshot) => void): () => void
  /**
   * Runs alone among all tasks of this process with one of these names; anew when another control plane has changed what it
   * is named after, so what it does before `commit` must bear being done twice.
   */
  exclusively<Result>(names: readonly string[], task: () => Promise<Result>): Promise<Result>
  /**
   * `decide` sees the state that the change will be applied to; what it throws changes nothing. It is asked anew when
   * another control plane came first. `fresh`: all that it decides comes from that state.
   */
  commit(decide: (state: State) => Change, how?: { readonly fresh?: boolean }): Promise<void>
  /**
   * Resolves when `state` has every setting of residency that was acknowledged before: ask before something is written that may
   * be anywhere. Throws a `Refusal` (`conflict`) where the log does not tell of the newest in time.
   */
  upToDate(): Promise<void>
  version(program: ProgramName, id: string): Promise<VersionRecord | undefined>
  /** Newest first; those that do not parse are left out. */
  versions(record: ProgramRecord): Promise<readonly VersionRecord[]>
  addVersion(record: VersionRecord): Promise<void>
  dropVersions(program: ProgramName, ids: readonly string[]): Promise<void>
  /** The same version, with what it brings along elsewhere. */
  replaceVersion(record: VersionRecord): Promise<void>
  /** Removes all entries of the log but the newest, once what they say is in the records. */
  forgetChanges(): Promise<void>
  /** Of the log itself, and of records that stay in countries. */
  blobsInUse(): AsyncIterable<BlobHash>
  /** Of the records of one site, service or resource, as they lie in the fabric. */
  blobsOfRecords(kind: RecordOwner['kind'], id: string): Promise<readonly BlobHash[]>
  /** Resolves once what was committed is in the records too. */
  recorded(): Promise<void>
  close(): void
}

export interface LedgerDeps {
  readonly fabric: Fabric
  /** Domain below which programs have names, e.g. `localhost`. */
  readonly hostnameSuffix: string
  readonly limits: Limits
  readonly clock: Clock
  /** Stands in the log's entries, for people. */
  readonly by: string
  /** Makes the nodes of this process ready for a change that is about to be committed; rejects when they cannot be. */
  readonly adopt: (snapshot: Snapshot) => Promise<void>
  /** Hands them what is committed already, here or elsewhere. Never rejects: a node that cannot adopt it says so itself. */
  readonly follow: Follow
  readonly log: (message: string, error: unknown) => void
}

/** `isPartial`: later changes could not be read; who served one of them has something newer. */
export type Follow = (snapshot: Snapshot, how?: { readonly isPartial?: boolean }) => Promise<void>
