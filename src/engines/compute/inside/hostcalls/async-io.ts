/** `fastly_async_io`: waiting for several things at once. */
import { asyncItem, selectItem } from '../async-item.ts'
import type { HostcallModule } from '../hostcall.ts'
import { refuse, status } from '../status.ts'
import { readHandles } from './send-calls.ts'

/** In place of an index when the time is over. */
const none = 0xffff_ffff

export const asyncIo: HostcallModule = {
  name: 'fastly_async_io',
  waits: new Set(['select']),
  calls: {
    select(sandbox, list: number, count: number, timeoutMs: number, out: number) {
      if (count === 0 && timeoutMs === 0) refuse(status.invalidArgument, 'nothing to wait for')
      const items = readHandles(sandbox, list, count).map((handle) => asyncItem(sandbox, handle))
      const found = selectItem(sandbox, items, timeoutMs >>> 0)
      if (!(found instanceof Promise)) return sandbox.memory.u32(out, found ?? none)
      return found.then((index) => sandbox.memory.u32(out, index ?? none))
    },
    is_ready(sandbox, handle: number, out: number) {
      sandbox.memory.u32(out, asyncItem(sandbox, handle).ready ? 1 : 0)
    },
  },
}
