/** `fastly_geo`: where an address is, as JSON. */
import { askNode, bytesOf } from '../ask-node.ts'
import type { HostcallModule } from '../hostcall.ts'
import { addressOf } from './address-of.ts'

export const geo: HostcallModule = {
  name: 'fastly_geo',
  waits: new Set(['lookup']),
  calls: {
    async lookup(sandbox, octets: number, length: number, buffer: number, capacity: number, written: number) {
      const found = await askNode(sandbox, 'geo.lookup', { address: addressOf(sandbox, octets, length) })
      sandbox.memory.give(bytesOf(found), buffer, capacity, written)
    },
  },
}
