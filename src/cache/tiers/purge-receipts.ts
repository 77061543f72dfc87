/** Receipts of the last purges, by their id. */
import type { NodeId } from '#/core/pops.ts'
import type { PurgeReceipt } from '#/core/tiers.ts'
import type { EpochMs } from '#/core/units.ts'

export interface PurgeReceipts {
  newId(at: EpochMs): string
  add(receipt: PurgeReceipt): void
  get(id: string): PurgeReceipt | undefined
}

/** The oldest go first when there are more than `limit`. Ids name the node, so that others know whom to ask. */
export function createPurgeReceipts(node: NodeId, limit: number): PurgeReceipts {
  const known = new Map<string, PurgeReceipt>()
  let count = 0
  return {
    newId: (at) => `${node}-${Math.floor(at / 1000)}-${++count}`,
    add(receipt) {
      known.set(receipt.id, receipt)
      if (known.size <= limit) return
      for (const oldest of known.keys()) {
        known.delete(oldest)
        break
      }
    },
    get: (id) => known.get(id),
  }
}

/** The node that took the purge. */
export function nodeOfReceipt(id: string): NodeId {
  return id.replace(/-\d+-\d+$/, '')
}
