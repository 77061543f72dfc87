/** The calls that requests and responses share: their lives, versions and header fields. */
import type { Hostcall } from '../hostcall.ts'
import type { Fields, GuestRequest, GuestResponse } from '../messages.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'

/** Of `fastly_http_req` and `fastly_http_resp` alike. */
export function messageCalls(Kind: new () => GuestRequest | GuestResponse): Record<string, Hostcall> {
  return {
    ...fieldCalls((sandbox, handle) => sandbox.handles.get(handle, Kind).headers),
    new(sandbox, out: number) {
      sandbox.memory.u32(out, sandbox.handles.add(new Kind()))
    },
    close(sandbox, handle: number) {
      sandbox.handles.take(handle, Kind)
    },
    version_get(sandbox, handle: number, out: number) {
      sandbox.memory.u32(out, sandbox.handles.get(handle, Kind).version)
    },
    version_set(sandbox, handle: number, version: number) {
      if (version < 0 || version > 4) refuse(status.invalidArgument)
      sandbox.handles.get(handle, Kind).version = version
    },
  }
}

/** `fieldsOf` finds the fields of a handle, or throws `bad handle`. */
function fieldCalls(fieldsOf: (sandbox: Sandbox, handle: number) => Fields): Record<string, Hostcall> {
  return {
    header_names_get(sandbox, handle, buffer, capacity, cursor, endingCursor, written) {
      sandbox.memory.giveMany(fieldsOf(sandbox, handle).names(), buffer, capacity, cursor, endingCursor, written)
    },
    header_value_get(sandbox, handle, name, nameLength, buffer, capacity, written) {
      const { memory } = sandbox
      const value = fieldsOf(sandbox, handle).first(memory.latin1(name, nameLength))
      if (value === undefined) return status.none
      memory.give(Buffer.from(value, 'latin1'), buffer, capacity, written)
      return status.ok
    },
    header_values_get(sandbox, handle, name, nameLength, buffer, capacity, cursor, endingCursor, written) {
      const { memory } = sandbox
      const values = fieldsOf(sandbox, handle).values(memory.latin1(name, nameLength))
      memory.giveMany(values, buffer, capacity, cursor, endingCursor, written)
    },
    header_values_set(sandbox, handle, name, nameLength, values, valuesLength) {
      const { memory } = sandbox
      // Each value ends with a zero byte.
      const list = memory.latin1(values, valuesLength).split('\0')
      list.pop()
      fieldsOf(sandbox, handle).set(memory.latin1(name, nameLength), list)
    },
    header_insert(sandbox, handle, name, nameLength, value, valueLength) {
      const { memory } = sandbox
      fieldsOf(sandbox, handle).set(memory.latin1(name, nameLength), [memory.latin1(value, valueLength)])
    },
    header_append(sandbox, handle, name, nameLength, value, valueLength) {
      const { memory } = sandbox
      fieldsOf(sandbox, handle).append(memory.latin1(name, nameLength), memory.latin1(value, valueLength))
    },
    header_remove(sandbox, handle, name, nameLength) {
      const removed = fieldsOf(sandbox, handle).remove(sandbox.memory.latin1(name, nameLength))
      return removed ? status.ok : status.invalidArgument
    },
  }
}
