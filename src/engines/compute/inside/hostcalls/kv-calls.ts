/** What the two modules of KV stores share: the questions to the node, and the rules of keys. */
import type { Message } from '../../wire-messages.ts'
import { askNode, heard, Pending } from '../ask-node.ts'
import type { GuestBody } from '../bodies.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'

/** `kv_error` of the ABI. */
export const kvError = {
  ok: 1,
  badRequest: 2,
  notFound: 3,
  preconditionFailed: 4,
  payloadTooLarge: 5,
  internalError: 6,
  tooManyRequests: 7,
} as const

/** What the node says went wrong, in the reply's head. */
export type KvTrouble = Exclude<keyof typeof kvError, 'ok'>

export const insertModes = ['overwrite', 'add', 'append', 'prepend'] as const

export class KvStoreHandle {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

export class KvLookup extends Pending<Message> {}
export class KvInsert extends Pending<Message> {}
export class KvDelete extends Pending<Message> {}
export class KvList extends Pending<Message> {}

/** `open` of both modules: a handle, or `invalid argument` where the service has no such store. */
export function openKv(sandbox: Sandbox, pointer: number, length: number, out: number): void {
  const name = sandbox.memory.text(pointer, length)
  if (!sandbox.program.facts.stores.some((store) => store.kind === 'kv' && store.name === name))
    refuse(status.invalidArgument, `there is no KV store ${name}`)
  sandbox.memory.u32(out, sandbox.handles.add(new KvStoreHandle(name)))
}

const forbidden = /[\r\n#;?^|]/

/** Throws for keys that Fastly refuses. https://www.fastly.com/documentation/guides/concepts/data-stores/ */
export function kvKey(sandbox: Sandbox, pointer: number, length: number): string {
  const key = sandbox.memory.text(pointer, length)
  const bad =
    key === '' ||
    length >>> 0 > 1024 ||
    forbidden.test(key) ||
    key.startsWith('.well-known/acme-challenge') ||
    key.split('/').some((part) => part === '.' || part === '..') ||
    (key.length === 1 && (key <= ' ' || key >= '\ufffe'))
  if (bad) refuse(status.invalidArgument, 'not a key')
  return key
}

export function storeOf(sandbox: Sandbox, handle: number): string {
  return sandbox.handles.get(handle, KvStoreHandle).name
}

/** Writes under way, by request and key: SDKs do not always wait for one before they ask for the same key. */
const writes = new WeakMap<Sandbox, Map<string, Promise<unknown>>>()

function afterWrites(sandbox: Sandbox, id: string, ask: () => Promise<Message>): Promise<Message> {
  const before = writes.get(sandbox)?.get(id)
  return before === undefined ? ask() : before.then(ask, ask)
}

function write(sandbox: Sandbox, store: string, key: string, ask: () => Promise<Message>): Promise<Message> {
  const own = writes.get(sandbox) ?? new Map<string, Promise<unknown>>()
  writes.set(sandbox, own)
  const id = `${store}\0${key}`
  const waits = own.has(id)
  const written = afterWrites(sandbox, id, ask)
  own.set(id, written)
  const over = () => {
    if (own.get(id) === written) own.delete(id)
  }
  const settled = written.then(over, over)
  // One that has not been sent yet is sent even when the program ends before.
  if (waits) sandbox.lasts(settled)
  return written
}

export function lookup(sandbox: Sandbox, store: string, key: string): KvLookup {
  return new KvLookup(afterWrites(sandbox, `${store}\0${key}`, () => askNode(sandbox, 'kv.get', { store, key })))
}

export function remove(sandbox: Sandbox, store: string, key: string): KvDelete {
  return new KvDelete(write(sandbox, store, key, () => askNode(sandbox, 'kv.delete', { store, key })))
}

export interface InsertWish {
  readonly mode: (typeof insertModes)[number]
  readonly metadata?: string
  readonly ttlSeconds?: number
  /** Decimal: a u64 does not fit into JSON. */
  readonly generation?: string
}

/** Takes over the body. */
export function insert(sandbox: Sandbox, store: string, key: string, body: GuestBody, wish: InsertWish): KvInsert {
  const whole = body.whole()
  const inline = whole !== undefined && whole.length <= sandbox.limits.windowBytes
  const facts = { store, key, ...wish }
  const send = () => (inline ? askNode(sandbox, 'kv.put', facts, whole) : sendStream(sandbox, facts, body))
  return new KvInsert(write(sandbox, store, key, send))
}

function sendStream(sandbox: Sandbox, facts: object, body: GuestBody): Promise<Message> {
  const call = sandbox.line.call({ ...facts, do: 'kv.put', run: sandbox.run.run }, 'stream')
  sandbox.lasts(body.pumpTo(call.out!, true))
  return heard(call.reply)
}

/** What the reply's head says went wrong. */
export function troubleOf({ head }: Message): KvTrouble | undefined {
  return head.trouble as KvTrouble | undefined
}
