/** What keeps one kind of store at this node: opened in `open-stores.ts`, asked through `HomedStores`. */
import type { StoreHandler } from './homed-stores.ts'
import type { ResourceKind } from './resources.ts'

export interface HomedStore {
  readonly kind: ResourceKind
  /** Asked only for resources that this node's Snapshot names. */
  readonly handler: StoreHandler
  /** Ids of the resources of which something lies on this node's disk. */
  held(): Promise<readonly string[]>
  /** Ends what is in progress; resolves when nothing of the resource is left on the disk. */
  erase(id: string): Promise<void>
  /** After each Snapshot. */
  follow?(): Promise<void>
  close(): Promise<void>
}
