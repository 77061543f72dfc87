/**
 * S3-FIFO (Yang et al., SOSP 2023, https://doi.org/10.1145/3600006.3613147): new objects pass a small queue and reach the
 * main queue only when they were used meanwhile; what left the small queue unused is remembered, and enters the main queue
 * when it comes back. Weighed in bytes: a large object has to be used more often to stay, as it displaces many small ones.
 */
import { createGhost } from './ghost.ts'

export interface QueueNode {
  readonly weight: number
  readonly hash: number
  hits: number
  queue: Queue | undefined
  newer: QueueNode | undefined
  older: QueueNode | undefined
}

export interface Queue {
  newest: QueueNode | undefined
  oldest: QueueNode | undefined
  weight: number
  count: number
}

export interface Admission {
  insert(node: QueueNode): void
  remove(node: QueueNode): void
  /** The next to go, already taken out; undefined when there is nothing. */
  evict(): QueueNode | undefined
  readonly weight: number
  readonly overheadBytes: number
}

/** Share of the small queue, as in the paper. */
const smallShare = 0.1
/** More hits than this are not counted: two bits, as in the paper. */
export const mostHits = 3

/** Uses that earn a place in the main queue. */
export function hitsToStay(weight: number): number {
  return weight <= 64 * 1024 ? 1 : weight <= 1024 * 1024 ? 2 : 3
}

/** `bytes`: what the owner keeps at most, from which the small queue and the memory of the evicted are sized. */
export function createAdmission(bytes: number): Admission {
  const small: Queue = { newest: undefined, oldest: undefined, weight: 0, count: 0 }
  const main: Queue = { newest: undefined, oldest: undefined, weight: 0, count: 0 }
  const ghost = createGhost(Math.min(2 ** 22, Math.max(1024, bytes / 1024)))

  function push(queue: Queue, node: QueueNode): void {
    node.queue = queue
    node.newer = undefined
    node.older = queue.newest
    if (queue.newest === undefined) queue.oldest = node
    else queue.newest.newer = node
    queue.newest = node
    queue.weight += node.weight
    queue.count++
  }

  function unlink(node: QueueNode): void {
    const queue = node.queue
    if (queue === undefined) return
    if (node.newer === undefined) queue.newest = node.older
    else node.newer.older = node.older
    if (node.older === undefined) queue.oldest = node.newer
    else node.older.newer = node.newer
    queue.weight -= node.weight
    queue.count--
    node.queue = undefined
    node.newer = undefined
    node.older = undefined
  }

  function evict(): QueueNode | undefined {
    for (;;) {
      const fromSmall = main.count === 0 || small.weight > bytes * smallShare
      const node = (fromSmall ? small.oldest : main.oldest) ?? small.oldest
      if (node === undefined) return undefined
      const queue = node.queue
      unlink(node)
      if (queue === small) {
        if (node.hits < hitsToStay(node.weight)) {
          ghost.add(node.hash)
          return node
        }
        node.hits = 0
      } else {
        if (node.hits === 0) return node
        node.hits--
      }
      push(main, node)
    }
  }

  return {
    insert(node) {
      push(ghost.take(node.hash, Math.max(main.count, small.count)) ? main : small, node)
    },
    remove: unlink,
    evict,
    get weight() {
      return small.weight + main.weight
    },
    overheadBytes: ghost.bytes,
  }
}
