/** `fastly_device_detection`: what the operator's file says of a `User-Agent`. */
import { askNode, bytesOf } from '../ask-node.ts'
import type { HostcallModule } from '../hostcall.ts'
import { refuse, status } from '../status.ts'

export const deviceDetection: HostcallModule = {
  name: 'fastly_device_detection',
  waits: new Set(['lookup']),
  calls: {
    async lookup(sandbox, agent: number, length: number, buffer: number, capacity: number, written: number) {
      if (length >>> 0 > sandbox.limits.headerBytes) refuse(status.invalidArgument, 'longer than any header')
      const found = await askNode(sandbox, 'device.lookup', { userAgent: sandbox.memory.text(agent, length) })
      if (found.body === null) return status.none
      sandbox.memory.give(bytesOf(found), buffer, capacity, written)
      return status.ok
    },
  },
}
