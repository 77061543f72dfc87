/**
 * Stores that live at one node: a database, a bucket, a queue, a workflow. Whoever wants something of one asks here, at any
 * node; the question crosses the mesh where the store lives elsewhere. The home is chosen at the first call, near it or by
 * the resource's hint and countries, and stays: what is stored lies on that node's disk alone.
 */
import type { MeshHead, MeshRequest } from './mesh.ts'
import type { NodeId } from './pops.ts'
import type { ResourceKind } from './resources.ts'

export interface StoreName {
  readonly kind: ResourceKind
  /** Of the resource. */
  readonly id: string
}

export interface StoreCall extends StoreName {
  /** What is wanted, a word that the kind's handler knows. */
  readonly operation: string
  /** Anything that JSON holds, at most `meshHeadBytes` when serialized. */
  readonly head?: MeshHead
  readonly body?: MeshRequest['body']
  /** Aborting cancels the call at its home too. */
  readonly signal?: AbortSignal
}

export interface StoreAnswer {
  readonly head: MeshHead
  /** Whoever gets a stream reads or destroys it. */
  readonly body: NonNullable<MeshRequest['body']> | null
}

/**
 * Answers at the home. What programs should see as the vendor's own error travels in the head of an answer; what is thrown
 * reaches the caller as an `EdgeError` with the same code, or as `internal`.
 */
export type StoreHandler = (call: StoreCall) => Promise<StoreAnswer>

export interface HomedStores {
  /**
   * Rejects with what the handler threw, `store_unknown` where there is no such resource, `peer_away` when its home cannot be
   * reached, `fabric_away` when its home is not known and cannot be asked for, `not_here` when no node may hold it.
   */
  call(call: StoreCall): Promise<StoreAnswer>
  /** One handler a kind. */
  serve(kind: ResourceKind, handler: StoreHandler): void
  /** Where it lives; chooses a node if nobody has yet. Rejects like `call`. */
  home(store: StoreName): Promise<NodeId>
  readonly self: NodeId
}
