/** `fastly_http_cache`: the cache for answers to requests that newer SDKs drive themselves, for their before- and after-send hooks. */
import { createHash } from 'node:crypto'
import type { CoreCacheWrite } from '#/core/core-cache.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { CacheAdvised, CacheAdviseHead, CacheKeyWords } from '../../cache-protocol.ts'
import { asHead } from '../../protocol.ts'
import { GuestBody } from '../bodies.ts'
import { CacheEntry, fromNs, insertObject, lookUp, toNs, updateObject, wholeSeconds } from '../cache-entry.ts'
import type { Hostcall, HostcallModule } from '../hostcall.ts'
import { cachedUrl, copyRequest, foundAnswer, storedFields, suggestedRequest } from '../http-cache-answers.ts'
import { Fields, GuestRequest, GuestResponse } from '../messages.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'
import { commonFacts, httpFact, words } from './core-cache.ts'

function suggestedKey(request: GuestRequest): Buffer {
  return createHash('sha256').update(cachedUrl(request)).digest()
}

/** `http_cache_lookup_options`: a key of the program's own. The backend's name changes nothing here. */
const lookupBits = { overrideKey: 2, backendName: 4 } as const

function lookup(sandbox: Sandbox, handle: number, mask: number, options: number, collapse: boolean): CacheEntry {
  const { memory, handles } = sandbox
  if ((mask & ~6) !== 0) refuse(status.unsupported, 'an unknown option of a lookup')
  const request = copyRequest(handles.get(handle, GuestRequest))
  let key: Uint8Array = suggestedKey(request)
  if ((mask & lookupBits.overrideKey) !== 0) key = memory.copy(memory.readU32(options), memory.readU32(options + 4))
  if (key.length !== 32) refuse(status.invalidArgument, 'a key has 32 bytes')
  const at: CacheKeyWords = {
    space: 'http',
    key: Buffer.from(key).toString('base64'),
    headers: request.headers.list,
    url: cachedUrl(request),
  }
  const entry = lookUp(sandbox, at, collapse)
  entry.request = request
  return entry
}

const entryOf = (sandbox: Sandbox, handle: number): CacheEntry & { readonly request: GuestRequest } => {
  const entry = sandbox.handles.get(handle, CacheEntry)
  if (entry.request === undefined) refuse(status.badHandle)
  return entry as CacheEntry & { readonly request: GuestRequest }
}

/** `http_cache_write_options`; where its fields lie, bytes from its start. */
const bits = {
  vary: 2,
  initialAge: 4,
  staleWhileRevalidate: 8,
  surrogateKeys: 16,
  length: 32,
  sensitive: 64,
  staleIfError: 128,
}
const at = {
  maxAge: 0,
  vary: 8,
  initialAge: 16,
  staleWhileRevalidate: 24,
  surrogateKeys: 32,
  length: 40,
  staleIfError: 48,
}
const writeMask = 254
const longestText = 16 * 1024

function readWrite(sandbox: Sandbox, mask: number, options: number, response: GuestResponse): CoreCacheWrite {
  const { memory } = sandbox
  if ((mask & ~writeMask) !== 0) refuse(status.unsupported, 'an unknown option of a write')
  const has = (bit: keyof typeof bits) => (mask & bits[bit]) !== 0
  const time = (bit: 'initialAge' | 'staleWhileRevalidate' | 'staleIfError') =>
    has(bit) ? fromNs(memory.readU64(options + at[bit])) : 0
  const list = (bit: 'vary' | 'surrogateKeys') => {
    if (!has(bit)) return []
    const length = memory.readU32(options + at[bit] + 4)
    if (length > longestText) refuse(status.invalidArgument, 'too long')
    return words(memory.text(memory.readU32(options + at[bit]), length).toLowerCase())
  }
  return {
    maxAgeMs: fromNs(memory.readU64(options + at.maxAge)),
    initialAgeMs: time('initialAge'),
    staleWhileRevalidateMs: time('staleWhileRevalidate'),
    staleIfErrorMs: time('staleIfError'),
    vary: list('vary'),
    tags: list('surrogateKeys'),
    ...(has('length') && { length: Number(memory.readU64(options + at.length)) }),
    metadata: '',
    sensitive: has('sensitive'),
    status: response.status,
    headers: storedFields(response.headers.list),
  }
}

/** Reasons that hold for every client: the next ones need not wait for each other. */
const uncacheable: ReadonlySet<string> = new Set([
  'private',
  'no-store',
  'set-cookie',
  'vary-star',
  'ttl',
  'no-freshness',
])

async function advise(sandbox: Sandbox, entry: CacheEntry, response: GuestResponse): Promise<CacheAdvised> {
  const stale = response.status === 304 ? entry.any : undefined
  const head: CacheAdviseHead = {
    do: 'cache-advise',
    run: sandbox.run.run,
    at: entry.at,
    status: response.status,
    headers: response.headers.list,
    ...(stale && { stored: { status: stale.written.status, headers: [...stale.written.headers] } }),
  }
  const { head: advised } = await sandbox.line.call(asHead(head), null).reply
  return advised as unknown as CacheAdvised
}

/** `http_storage_action`. */
const actions = { insert: 0, update: 1, doNotStore: 2, recordUncacheable: 3 } as const

async function prepare(sandbox: Sandbox, handle: number, responseHandle: number, actionOut: number, out: number) {
  const entry = entryOf(sandbox, handle)
  const response = sandbox.handles.get(responseHandle, GuestResponse)
  await entry.whenFound(() => undefined)
  const advice = await advise(sandbox, entry, response)
  const prepared = new GuestResponse()
  prepared.status = response.status
  prepared.headers = new Fields([...response.headers.list])
  let action: number = actions.doNotStore
  if (response.status === 304 && entry.any !== undefined) {
    prepared.status = entry.any.written.status
    if (advice.store) prepared.headers = new Fields([...advice.written.headers])
    action = actions.update
  } else if (advice.store) action = actions.insert
  else if (uncacheable.has(advice.why) && response.status < 500) action = actions.recordUncacheable
  sandbox.memory.u32(actionOut, action)
  sandbox.memory.u32(out, sandbox.handles.add(prepared))
  return status.ok
}

/** How long an answer that may not be stored is remembered as such, as at Fastly. */
const passMs = 120_000

async function suggest(
  sandbox: Sandbox,
  handle: number,
  responseHandle: number,
  mask: number,
  options: number,
  maskOut: number,
  out: number,
) {
  const { memory } = sandbox
  const entry = entryOf(sandbox, handle)
  const response = sandbox.handles.get(responseHandle, GuestResponse)
  const buffers = { vary: where(sandbox, options + at.vary), surrogateKeys: where(sandbox, options + at.surrogateKeys) }
  const advice = await advise(sandbox, entry, response)
  const written: Partial<CoreCacheWrite> = advice.store ? advice.written : { maxAgeMs: passMs }
  memory.u64(out + at.maxAge, toNs(written.maxAgeMs ?? 0))
  // HTTP counts ages in whole seconds (RFC 9111 §1.2.2): what came just now has none.
  memory.u64(out + at.initialAge, toNs(wholeSeconds(written.initialAgeMs ?? 0)))
  memory.u64(out + at.staleWhileRevalidate, toNs(written.staleWhileRevalidateMs ?? 0))
  memory.u64(out + at.staleIfError, toNs(written.staleIfErrorMs ?? 0))
  memory.u64(out + at.length, written.length ?? 0)
  // As at Fastly, one key names what is stored for this address; SDKs count on there being one.
  const keys = [suggestedKey(entry.request).toString('hex'), ...(written.tags ?? [])]
  const texts = { vary: written.vary?.join(' ') ?? '', surrogateKeys: keys.join(' ') }
  let told = mask & (bits.initialAge | bits.staleWhileRevalidate | bits.staleIfError)
  if (written.length !== undefined) told |= mask & bits.length
  if (written.sensitive === true) told |= mask & bits.sensitive
  let tooLong = false
  for (const name of ['vary', 'surrogateKeys'] as const) {
    if ((mask & bits[name]) === 0) continue
    told |= bits[name]
    const bytes = Buffer.from(texts[name])
    memory.u32(out + at[name], buffers[name].pointer)
    memory.u32(out + at[name] + 4, bytes.length)
    if (bytes.length > buffers[name].capacity) tooLong = true
    else memory.write(buffers[name].pointer, bytes)
  }
  memory.u32(maskOut, told)
  return tooLong ? status.bufferTooSmall : status.ok
}

function where({ memory }: Sandbox, record: number): { readonly pointer: number; readonly capacity: number } {
  return { pointer: memory.readU32(record), capacity: memory.readU32(record + 4) }
}

async function give(sandbox: Sandbox, handle: number, transform: number, responseOut: number, bodyOut: number) {
  const entry = entryOf(sandbox, handle)
  await entry.whenFound(() => undefined)
  const { found } = entry
  if (found === undefined) return status.none
  const answer = foundAnswer(found, entry.ageMs, transform === 1 ? entry.request : undefined)
  const body =
    answer.range === null
      ? sandbox.handles.add(new GuestBody(sandbox.limits.bodyBytes))
      : await entry.giveBody({ ...answer.range, strict: true })
  const response = new GuestResponse()
  response.status = answer.status
  response.headers.list = answer.headers as HeaderList
  sandbox.memory.u32(responseOut, sandbox.handles.add(response))
  sandbox.memory.u32(bodyOut, body)
  return status.ok
}

/** The response is taken by the letter of the ABI; the JavaScript SDK still writes to its headers, so that its handle stays. */
function insert(
  sandbox: Sandbox,
  handle: number,
  responseHandle: number,
  mask: number,
  options: number,
  back: boolean,
) {
  const entry = entryOf(sandbox, handle)
  const written = readWrite(sandbox, mask, options, sandbox.handles.get(responseHandle, GuestResponse))
  const inserted = insertObject(sandbox, entry.at, entry.takeTurn(), written, back)
  if (inserted.entry !== undefined) inserted.entry.request = entry.request
  return inserted
}

async function update(sandbox: Sandbox, handle: number, responseHandle: number, mask: number, options: number) {
  const entry = entryOf(sandbox, handle)
  const written = readWrite(sandbox, mask, options, sandbox.handles.get(responseHandle, GuestResponse))
  await entry.whenFound(() => undefined)
  if (entry.any === undefined) refuse(status.badHandle, 'there is nothing to update')
  const updated = updateObject(sandbox, entry, written)
  updated.request = entry.request
  await updated.whenFound(() => undefined)
  return updated
}

const calls: Record<string, Hostcall> = {
  ...Object.fromEntries(Object.entries(commonFacts).map(([name, { call }]) => [name, call])),
  is_request_cacheable(sandbox, handle: number, out: number) {
    const { method } = sandbox.handles.get(handle, GuestRequest)
    sandbox.memory.u32(out, method === 'GET' || method === 'HEAD' ? 1 : 0)
  },
  get_suggested_cache_key(sandbox, handle: number, ...out: [number, number, number]) {
    sandbox.memory.give(suggestedKey(sandbox.handles.get(handle, GuestRequest)), ...out)
  },
  lookup(sandbox, handle: number, mask: number, options: number, out: number) {
    sandbox.memory.u32(out, sandbox.handles.add(lookup(sandbox, handle, mask, options, false)))
  },
  transaction_lookup(sandbox, handle: number, mask: number, options: number, out: number) {
    sandbox.memory.u32(out, sandbox.handles.add(lookup(sandbox, handle, mask, options, true)))
  },
  transaction_insert(sandbox, handle, response, mask, options, out: number) {
    return entryOf(sandbox, handle).whenFound(() =>
      sandbox.memory.u32(out, insert(sandbox, handle, response, mask, options, false).body),
    )
  },
  transaction_insert_and_stream_back(sandbox, handle, response, mask, options, out: number, back: number) {
    return entryOf(sandbox, handle).whenFound(() => {
      const inserted = insert(sandbox, handle, response, mask, options, true)
      sandbox.memory.u32(out, inserted.body)
      sandbox.memory.u32(back, sandbox.handles.add(inserted.entry!))
    })
  },
  transaction_update: (sandbox, handle, response, mask, options) =>
    update(sandbox, handle, response, mask, options).then((updated) => updated.close()),
  transaction_update_and_return_fresh: (sandbox, handle, response, mask, options, out: number) =>
    update(sandbox, handle, response, mask, options).then((updated) =>
      sandbox.memory.u32(out, sandbox.handles.add(updated)),
    ),
  transaction_choose_stale(sandbox, handle: number) {
    const entry = entryOf(sandbox, handle)
    return entry.whenFound(() => {
      if (entry.any?.state !== 'if-error') refuse(status.badHandle, 'nothing may stand in for an error')
      entry.end('use-stale')
      entry.chosen = true
    })
  },
  transaction_record_not_cacheable(sandbox, handle: number, _mask: number, options: number) {
    const entry = entryOf(sandbox, handle)
    return entry.whenFound(() => entry.end('not-cacheable', fromNs(sandbox.memory.readU64(options))))
  },
  transaction_abandon(sandbox, handle: number) {
    const entry = entryOf(sandbox, handle)
    return entry.whenFound(() => entry.end('cancel'))
  },
  close(sandbox, handle: number) {
    const entry = entryOf(sandbox, handle)
    sandbox.handles.take(handle, CacheEntry)
    entry.whenReady(() => !sandbox.over && entry.close())
  },
  get_suggested_backend_request(sandbox, handle: number, out: number) {
    const entry = entryOf(sandbox, handle)
    return entry.whenFound(() =>
      sandbox.memory.u32(out, sandbox.handles.add(suggestedRequest(entry.request, entry.any))),
    )
  },
  get_suggested_cache_options: suggest,
  prepare_response_for_storage: prepare,
  get_found_response: give,
  get_state(sandbox, handle: number, out: number) {
    const entry = entryOf(sandbox, handle)
    return entry.whenFound(() => sandbox.memory.u32(out, entry.state))
  },
  get_stale_if_error_ns: httpFact((sandbox, { written }, _entry, out) => {
    sandbox.memory.u64(out!, toNs(written.staleIfErrorMs))
    return status.ok
  }),
  get_sensitive_data: httpFact((sandbox, { written }, _entry, out) => {
    sandbox.memory.u32(out!, written.sensitive ? 1 : 0)
    return status.ok
  }),
  get_surrogate_keys: httpFact((sandbox, { written }, _entry, ...out) => {
    sandbox.memory.give(written.tags.join(' '), ...(out as [number, number, number]))
    return status.ok
  }),
  get_vary_rule: httpFact((sandbox, { written }, _entry, ...out) => {
    sandbox.memory.give(written.vary.join(' '), ...(out as [number, number, number]))
    return status.ok
  }),
}

export const httpCache: HostcallModule = {
  name: 'fastly_http_cache',
  // Each may have to wait for the lookup that its handle stands for, but these.
  waits: new Set(
    Object.keys(calls).filter((name) => !/^(?:is_|lookup|transaction_lookup|close|get_suggested_cache_key)/.test(name)),
  ),
  calls,
}
