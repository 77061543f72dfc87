/** `fastly_object_store`: the older names of KV stores. A key that is not there leaves the out-handle as it was. */
import type { Message } from '../../wire-messages.ts'
import { bytesOf } from '../ask-node.ts'
import { GuestBody } from '../bodies.ts'
import type { HostcallModule } from '../hostcall.ts'
import type { Sandbox } from '../sandbox.ts'
import { HostcallError, status } from '../status.ts'
import { newBody } from './http-body.ts'
import { insert, KvDelete, KvInsert, KvLookup, kvKey, lookup, openKv, remove, storeOf, troubleOf } from './kv-calls.ts'

const overwrite = { mode: 'overwrite' } as const

function give(sandbox: Sandbox, message: Message, bodyOut: number): void {
  const trouble = troubleOf(message)
  if (trouble === 'notFound') return
  if (trouble !== undefined) throw new HostcallError(status.invalidArgument, trouble)
  const body = newBody(sandbox)
  body.push(bytesOf(message))
  sandbox.memory.u32(bodyOut, sandbox.handles.add(body))
}

function check(message: Message): void {
  const trouble = troubleOf(message)
  if (trouble === 'notFound') throw new HostcallError(status.none)
  if (trouble !== undefined) throw new HostcallError(status.invalidArgument, trouble)
}

export const objectStore: HostcallModule = {
  name: 'fastly_object_store',
  waits: new Set(['lookup', 'pending_lookup_wait', 'insert', 'pending_insert_wait', 'pending_delete_wait']),
  calls: {
    open: openKv,
    async lookup(sandbox, store: number, key: number, length: number, bodyOut: number) {
      const found = await lookup(sandbox, storeOf(sandbox, store), kvKey(sandbox, key, length)).settled
      give(sandbox, found, bodyOut)
    },
    lookup_async(sandbox, store: number, key: number, length: number, out: number) {
      const pending = lookup(sandbox, storeOf(sandbox, store), kvKey(sandbox, key, length))
      sandbox.memory.u32(out, sandbox.handles.add(pending))
    },
    async pending_lookup_wait(sandbox, handle: number, bodyOut: number) {
      give(sandbox, await sandbox.handles.take(handle, KvLookup).settled, bodyOut)
    },
    async insert(sandbox, store: number, key: number, length: number, body: number) {
      const [name, text] = [storeOf(sandbox, store), kvKey(sandbox, key, length)]
      check(await insert(sandbox, name, text, sandbox.handles.take(body, GuestBody), overwrite).settled)
    },
    insert_async(sandbox, store: number, key: number, length: number, body: number, out: number) {
      const [name, text] = [storeOf(sandbox, store), kvKey(sandbox, key, length)]
      const pending = insert(sandbox, name, text, sandbox.handles.take(body, GuestBody), overwrite)
      sandbox.memory.u32(out, sandbox.handles.add(pending))
    },
    async pending_insert_wait(sandbox, handle: number) {
      check(await sandbox.handles.take(handle, KvInsert).settled)
    },
    delete_async(sandbox, store: number, key: number, length: number, out: number) {
      const pending = remove(sandbox, storeOf(sandbox, store), kvKey(sandbox, key, length))
      sandbox.memory.u32(out, sandbox.handles.add(pending))
    },
    async pending_delete_wait(sandbox, handle: number) {
      const message = await sandbox.handles.take(handle, KvDelete).settled
      if (message.head.missing === true) throw new HostcallError(status.none)
      check(message)
    },
  },
}
