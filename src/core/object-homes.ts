/** Where Durable Objects live on a platform of many nodes, and whether this one may run them now. */
import type { NodeId, Within } from './pops.ts'

/** One object: the key of its namespace and its id, 64 hex digits. */
export interface ObjectName {
  readonly key: string
  readonly id: string
}

/** What counts when an object gets its home: at its first call only, except `within`, which always holds. */
export interface HomeWish {
  /** Countries where it may live. */
  readonly within?: Within
  /** As Workers say it, `weur`; what nobody knows has no effect. */
  readonly hint?: string
}

/** The lease that lets a node run objects, by the node's own clock. */
export interface Standing {
  /** Epoch of the lease that stands now; `undefined`: this node runs no objects and lets no answer of theirs out. */
  epoch(): number | undefined
  /** Told after each change of what `epoch` answers, soon, but not at the very moment: who needs that asks. */
  onChange(listener: (epoch: number | undefined) => void): () => void
}

export interface ObjectHomes {
  readonly self: NodeId
  readonly standing: Standing
  /**
   * The node where the object lives; chooses one at its first call. Rejects with `fabric_away` when that is not known and
   * cannot be asked, or when this node has not followed a setting that may say where it may live; `not_here` when its countries have no node or it lives outside them, `peer_away` when no node of its
   * countries can be reached.
   */
  home(object: ObjectName, wish?: HomeWish | (() => HomeWish)): Promise<NodeId>
  /** Forgets the homes of all objects of a namespace that nobody has any more. */
  forget(key: string): Promise<void>
}
