/** `fastly_kv_store`: KV stores, with generations, metadata and times to live. */
import type { Message } from '../../wire-messages.ts'
import { askNode, bytesOf, type Pending } from '../ask-node.ts'
import { GuestBody } from '../bodies.ts'
import type { HostcallModule } from '../hostcall.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'
import { newBody } from './http-body.ts'
import {
  type InsertWish,
  insert,
  insertModes,
  KvDelete,
  KvInsert,
  KvList,
  KvLookup,
  kvError,
  kvKey,
  lookup,
  openKv,
  remove,
  storeOf,
  troubleOf,
} from './kv-calls.ts'

/** Bits of `kv_insert_config_options` and `kv_list_config_options`. */
const insertBit = { metadata: 8, ttl: 16, generation: 32 } as const
const listBit = { cursor: 2, limit: 4, prefix: 8 } as const

/** Fields of `kv_insert_config`: mode, unused, metadata, metadata_len, time_to_live_sec, if_generation_match (u64 at 24). */
function insertWish({ memory }: Sandbox, mask: number, config: number): InsertWish {
  const mode = insertModes[memory.readU32(config)]
  if (mode === undefined) refuse(status.invalidArgument, 'not a mode')
  return {
    mode,
    ...((mask & insertBit.metadata) !== 0 && {
      metadata: nonEmpty(memory.text(memory.readU32(config + 8), memory.readU32(config + 12))),
    }),
    ...((mask & insertBit.ttl) !== 0 && { ttlSeconds: memory.readU32(config + 16) }),
    ...((mask & insertBit.generation) !== 0 && { generation: String(memory.readU64(config + 24)) }),
  }
}

/** Fields of `kv_list_config`: mode, cursor, cursor_len, limit, prefix, prefix_len. */
function listWish({ memory }: Sandbox, mask: number, config: number) {
  const mode = memory.readU32(config)
  if (mode > 1) refuse(status.invalidArgument, 'not a mode')
  return {
    ...((mask & listBit.cursor) !== 0 && {
      cursor: nonEmpty(memory.text(memory.readU32(config + 4), memory.readU32(config + 8))),
    }),
    ...((mask & listBit.limit) !== 0 && { limit: memory.readU32(config + 12) }),
    ...((mask & listBit.prefix) !== 0 && {
      prefix: nonEmpty(memory.text(memory.readU32(config + 16), memory.readU32(config + 20))),
    }),
  }
}

function nonEmpty(text: string): string {
  return text === '' ? refuse(status.invalidArgument, 'empty') : text
}

/** Waits, writes the outcome, and calls `then` where it went well. The handle is gone only when its value was taken. */
async function settle(
  sandbox: Sandbox,
  pending: Pending<Message>,
  release: () => void,
  errorOut: number,
  then: (message: Message) => void = () => {},
): Promise<void> {
  let message: Message
  try {
    message = await pending.settled
  } catch {
    release()
    sandbox.memory.u32(errorOut, kvError.internalError)
    return
  }
  // Of a key that was to be deleted.
  const trouble = message.head.missing === true ? 'notFound' : troubleOf(message)
  if (trouble === undefined) then(message)
  release()
  sandbox.memory.u32(errorOut, trouble === undefined ? kvError.ok : kvError[trouble])
}

function bodyWith(sandbox: Sandbox, bytes: Uint8Array): number {
  const body = newBody(sandbox)
  body.push(bytes)
  return sandbox.handles.add(body)
}

function lookupWait(
  sandbox: Sandbox,
  handle: number,
  out: {
    body: number
    metadata: number
    capacity: number
    written: number
    error: number
    generation: (of: bigint) => void
  },
): Promise<void> {
  const pending = sandbox.handles.get(handle, KvLookup)
  const release = () => void sandbox.handles.take(handle, KvLookup)
  return settle(sandbox, pending, release, out.error, (message) => {
    const { metadata = '', generation = '0' } = message.head as { metadata?: string; generation?: string }
    // First what may be too long: the program may come back for the same value with a larger buffer.
    sandbox.memory.give(metadata, out.metadata, out.capacity, out.written)
    sandbox.memory.u32(out.body, bodyWith(sandbox, bytesOf(message)))
    out.generation(BigInt(generation))
  })
}

export const kvStore: HostcallModule = {
  name: 'fastly_kv_store',
  waits: new Set(['lookup_wait', 'lookup_wait_v2', 'insert_wait', 'delete_wait', 'list_wait']),
  calls: {
    open: openKv,
    lookup(sandbox, store: number, key: number, length: number, _mask: number, _config: number, out: number) {
      const pending = lookup(sandbox, storeOf(sandbox, store), kvKey(sandbox, key, length))
      sandbox.memory.u32(out, sandbox.handles.add(pending))
    },
    // The generation of this one is an u32 that the platform has never filled in.
    lookup_wait(sandbox, handle: number, body, metadata, capacity, written, generation: number, error: number) {
      const fill = () => sandbox.memory.u32(generation, 0)
      return lookupWait(sandbox, handle, { body, metadata, capacity, written, error, generation: fill })
    },
    lookup_wait_v2(sandbox, handle: number, body, metadata, capacity, written, generation: number, error: number) {
      const fill = (of: bigint) => sandbox.memory.u64(generation, of)
      return lookupWait(sandbox, handle, { body, metadata, capacity, written, error, generation: fill })
    },
    insert(sandbox, store: number, key: number, length: number, body: number, mask: number, config: number, out) {
      const name = storeOf(sandbox, store)
      const wish = insertWish(sandbox, mask, config)
      const text = kvKey(sandbox, key, length)
      const pending = insert(sandbox, name, text, sandbox.handles.take(body, GuestBody), wish)
      sandbox.memory.u32(out, sandbox.handles.add(pending))
    },
    insert_wait(sandbox, handle: number, error: number) {
      return settle(sandbox, sandbox.handles.take(handle, KvInsert), () => {}, error)
    },
    delete(sandbox, store: number, key: number, length: number, _mask: number, _config: number, out: number) {
      const pending = remove(sandbox, storeOf(sandbox, store), kvKey(sandbox, key, length))
      sandbox.memory.u32(out, sandbox.handles.add(pending))
    },
    delete_wait(sandbox, handle: number, error: number) {
      return settle(sandbox, sandbox.handles.take(handle, KvDelete), () => {}, error)
    },
    list(sandbox, store: number, mask: number, config: number, out: number) {
      const wish = listWish(sandbox, mask, config)
      const pending = new KvList(askNode(sandbox, 'kv.list', { store: storeOf(sandbox, store), ...wish }))
      sandbox.memory.u32(out, sandbox.handles.add(pending))
    },
    list_wait(sandbox, handle: number, bodyOut: number, error: number) {
      return settle(
        sandbox,
        sandbox.handles.take(handle, KvList),
        () => {},
        error,
        (message) => sandbox.memory.u32(bodyOut, bodyWith(sandbox, bytesOf(message))),
      )
    },
  },
}
