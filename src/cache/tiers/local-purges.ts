/** Purges where one node is the whole platform: receipts as everywhere, with nobody to tell. */
import type { Limits } from '#/core/limits.ts'
import type { Place } from '#/core/pops.ts'
import type { SharedCache } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import type { PlatformPurges } from './platform-purges.ts'
import { createPurgeReceipts } from './purge-receipts.ts'

export interface LocalPurgesOptions {
  readonly self: Place
  readonly cache: Pick<SharedCache, 'purge'>
  readonly clock: Clock
  readonly limits: Pick<Limits, 'purgeReceipts'>
}

export function createLocalPurges({ self, cache, clock, limits }: LocalPurgesOptions): PlatformPurges {
  const receipts = createPurgeReceipts(self.node, limits.purgeReceipts)
  return {
    async purge(wishes) {
      const at = clock()
      const began = performance.now()
      const id = receipts.newId(at)
      await cache.purge(wishes)
      const ms = Math.round((performance.now() - began) * 10) / 10
      const receipt = { id, at, acknowledged: [{ pop: self.pop, node: self.node, ms }], away: [] }
      receipts.add(receipt)
      return receipt
    },
    receipt: async (id) => receipts.get(id),
    standing: () => ({ state: 'ready', behind: [], away: [] }),
    gate: undefined,
    ready: Promise.resolve(),
    vector: {},
    tag: () => undefined,
    learn: () => {},
    reach: async () => {},
    close: async () => {},
  }
}
