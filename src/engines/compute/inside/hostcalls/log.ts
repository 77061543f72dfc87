/** `fastly_log`: lines to endpoints by name. Writing never fails; what an endpoint cannot take is counted in the node. */
import { asHead } from '../../protocol.ts'
import type { HostcallModule } from '../hostcall.ts'
import { refuse, status } from '../status.ts'

/** Names that belong to the platform. https://www.fastly.com/documentation/guides/integrations/logging/ */
const reserved = /^(?:stdout|stderr|fst_managed_.*)$/is

class LogEndpoint {
  readonly name: string
  /** Bytes on their way to the node. */
  underWay = 0
  onRoom: (() => void) | undefined
  constructor(name: string) {
    this.name = name
  }
}

export const log: HostcallModule = {
  name: 'fastly_log',
  waits: new Set(['write']),
  calls: {
    endpoint_get(sandbox, pointer: number, length: number, out: number) {
      const name = sandbox.memory.text(pointer, length)
      if (name === '' || length >>> 0 > 255 || reserved.test(name)) refuse(status.invalidArgument, 'not an endpoint')
      sandbox.memory.u32(out, sandbox.handles.add(new LogEndpoint(name)))
    },
    write(sandbox, handle: number, pointer: number, length: number, writtenOut: number) {
      const endpoint = sandbox.handles.get(handle, LogEndpoint)
      const size = Math.min(length >>> 0, sandbox.limits.logBytes)
      const bytes = sandbox.memory.copy(pointer, size)
      sandbox.memory.u32(writtenOut, length)
      endpoint.underWay += size
      const arrived = () => {
        endpoint.underWay -= size
        if (endpoint.underWay > sandbox.limits.windowBytes) return
        endpoint.onRoom?.()
        endpoint.onRoom = undefined
      }
      const head = asHead({ do: 'log', run: sandbox.run.run, endpoint: endpoint.name, cut: length >>> 0 > size })
      sandbox.line.call(head, bytes).reply.then(arrived, arrived)
      if (endpoint.underWay <= sandbox.limits.windowBytes) return undefined
      return new Promise<void>((resolve) => {
        endpoint.onRoom = resolve
      })
    },
  },
}
