/** `fastly_cache`: the core cache; the SDKs make the simple cache of it. */
import type { CoreCacheWrite } from '#/core/core-cache.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { CacheKeyWords, CacheObjectWords } from '../../cache-protocol.ts'
import type { AsyncItem } from '../async-item.ts'
import { CacheEntry, fromNs, insertObject, lookUp, stateBits, toNs, updateObject } from '../cache-entry.ts'
import type { Hostcall, HostcallModule } from '../hostcall.ts'
import { GuestRequest } from '../messages.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'

/** SDKs let keys of up to 8,135 bytes through. */
const longestKey = 8192
const longestKeys = 16 * 1024
const longestMetadata = 64 * 1024

/** A lookup that may still wait for another client; the wait makes an entry of it. */
class BusyEntry implements AsyncItem {
  entry: CacheEntry | undefined
  constructor(entry: CacheEntry) {
    this.entry = entry
  }
  get ready(): boolean {
    return this.entry?.ready ?? true
  }
  whenReady(callback: () => void): void {
    if (this.entry === undefined) callback()
    else this.entry.whenReady(callback)
  }
}

/** An operation of the replace API: a look, and then one object in its stead. */
class Replacement {
  readonly entry: CacheEntry
  readonly forceMiss: boolean
  constructor(entry: CacheEntry, forceMiss: boolean) {
    this.entry = entry
    this.forceMiss = forceMiss
  }
}

function keyWords(sandbox: Sandbox, pointer: number, length: number, headers: HeaderList): CacheKeyWords {
  if (length >>> 0 > longestKey) refuse(status.invalidArgument, 'the key is too long')
  const key = Buffer.from(sandbox.memory.bytes(pointer, length)).toString('base64')
  return { space: 'core', key, headers, url: '' }
}

function headersOf(sandbox: Sandbox, handle: number): HeaderList {
  return sandbox.handles.get(handle, GuestRequest).headers.list
}

/** `cache_lookup_options`; a service's id names another service's cache. */
const lookupBits = { requestHeaders: 2, serviceId: 4, requestedRange: 8 } as const
const lookupMask = 14

function lookup(collapse: boolean) {
  return (sandbox: Sandbox, key: number, keyLength: number, mask: number, options: number): CacheEntry => {
    if ((mask & lookupBits.serviceId) !== 0) refuse(status.unsupported, 'a service has no other cache than its own')
    if ((mask & ~lookupMask) !== 0) refuse(status.unsupported, 'an unknown option of a lookup')
    const headers = (mask & lookupBits.requestHeaders) !== 0 ? headersOf(sandbox, sandbox.memory.readU32(options)) : []
    const entry = lookUp(sandbox, keyWords(sandbox, key, keyLength, headers), collapse)
    entry.strictRanges = (mask & lookupBits.requestedRange) !== 0
    return entry
  }
}

const plainLookup = lookup(false)
const collapsingLookup = lookup(true)

/** `cache_write_options`. */
const writeBits = {
  requestHeaders: 1 << 1,
  vary: 1 << 2,
  initialAge: 1 << 3,
  staleWhileRevalidate: 1 << 4,
  surrogateKeys: 1 << 5,
  length: 1 << 6,
  metadata: 1 << 7,
  sensitive: 1 << 8,
  edgeMaxAge: 1 << 9,
  serviceId: 1 << 10,
} as const
const writeMask = (1 << 11) - 2

interface Written {
  readonly written: CoreCacheWrite
  readonly headers: HeaderList | undefined
}

function readWrite(sandbox: Sandbox, mask: number, at: number): Written {
  const { memory } = sandbox
  const has = (bit: keyof typeof writeBits) => (mask & writeBits[bit]) !== 0
  if (has('serviceId')) refuse(status.unsupported, 'a service has no other cache than its own')
  if ((mask & ~writeMask) !== 0) refuse(status.unsupported, 'an unknown option of a write')
  const text = (offset: number, most: number) => {
    const length = memory.readU32(at + offset + 4)
    if (length > most) refuse(status.invalidArgument, 'too long')
    return memory.text(memory.readU32(at + offset), length)
  }
  const maxAge = memory.readU64(at)
  if (has('edgeMaxAge') && memory.readU64(at + 64) > maxAge)
    refuse(status.invalidArgument, 'edge_max_age above max_age')
  const metadataLength = has('metadata') ? memory.readU32(at + 60) : 0
  if (metadataLength > longestMetadata) refuse(status.limitExceeded, 'too much metadata')
  const written = {
    maxAgeMs: fromNs(maxAge),
    initialAgeMs: has('initialAge') ? fromNs(memory.readU64(at + 24)) : 0,
    staleWhileRevalidateMs: has('staleWhileRevalidate') ? fromNs(memory.readU64(at + 32)) : 0,
    staleIfErrorMs: 0,
    vary: has('vary') ? words(text(12, longestKeys).toLowerCase()) : [],
    tags: has('surrogateKeys') ? words(text(40, longestKeys).toLowerCase()) : [],
    ...(has('length') && { length: Number(memory.readU64(at + 48)) }),
    metadata: Buffer.from(memory.bytes(has('metadata') ? memory.readU32(at + 56) : 0, metadataLength)).toString(
      'base64',
    ),
    sensitive: has('sensitive'),
    status: 200,
    headers: [],
  }
  return { written, headers: has('requestHeaders') ? headersOf(sandbox, memory.readU32(at + 8)) : undefined }
}

export function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}

/** A fact of what was found; `none` where nothing was. */
function fact(
  write: (sandbox: Sandbox, found: CacheObjectWords, entry: CacheEntry, ...where: number[]) => number | undefined,
) {
  const call: Hostcall = (sandbox, handle: number, ...where: number[]) => {
    const entry = sandbox.handles.get(handle, CacheEntry)
    return entry.whenFound(() => give(sandbox, entry, where, write)) as never
  }
  const ofReplacement: Hostcall = (sandbox, handle: number, ...where: number[]) => {
    const { entry, forceMiss } = sandbox.handles.get(handle, Replacement)
    return entry.whenFound(() => (forceMiss ? status.none : give(sandbox, entry, where, write))) as never
  }
  return { call, ofReplacement }
}

function give(sandbox: Sandbox, entry: CacheEntry, where: number[], write: Parameters<typeof fact>[0]): number {
  const { found } = entry
  if (found === undefined) return status.none
  return write(sandbox, found, entry, ...where) ?? status.ok
}

/** Those that `fastly_http_cache` has too. */
export const commonFacts = {
  get_length: fact((sandbox, { length }, _entry, out) => {
    if (length === undefined) return status.none
    sandbox.memory.u64(out!, length)
    return status.ok
  }),
  get_max_age_ns: fact((sandbox, { written }, _entry, out) => {
    sandbox.memory.u64(out!, toNs(written.maxAgeMs))
    return status.ok
  }),
  get_stale_while_revalidate_ns: fact((sandbox, { written }, _entry, out) => {
    sandbox.memory.u64(out!, toNs(written.staleWhileRevalidateMs))
    return status.ok
  }),
  get_age_ns: fact((sandbox, _found, entry, out) => {
    sandbox.memory.u64(out!, toNs(entry.ageMs))
    return status.ok
  }),
  get_hits: fact((sandbox, { hits }, _entry, out) => {
    sandbox.memory.u64(out!, hits)
    return status.ok
  }),
}

export const httpFact = (write: Parameters<typeof fact>[0]): Hostcall => fact(write).call

const metadata = fact((sandbox, { written }, _entry, ...where) => {
  sandbox.memory.give(Buffer.from(written.metadata, 'base64'), ...(where as [number, number, number]))
  return status.ok
})

const getBits = { from: 2, to: 4 } as const

function rangeOf({ memory }: Sandbox, mask: number, options: number): { from?: number; to?: number } {
  if ((mask & ~6) !== 0) refuse(status.unsupported, 'an unknown option of get_body')
  return {
    ...((mask & getBits.from) !== 0 && { from: Number(memory.readU64(options)) }),
    ...((mask & getBits.to) !== 0 && { to: Number(memory.readU64(options + 8)) }),
  }
}

async function body(sandbox: Sandbox, entry: CacheEntry, mask: number, options: number, out: number) {
  const range = rangeOf(sandbox, mask, options)
  await entry.whenFound(() => undefined)
  sandbox.memory.u32(out, await entry.giveBody({ ...range, strict: entry.strictRanges }))
  return status.ok
}

const state: Hostcall = (sandbox, handle: number, out: number) => {
  const entry = sandbox.handles.get(handle, CacheEntry)
  return entry.whenFound(() => sandbox.memory.u32(out, entry.state))
}

/** Strategies of a replacement. */
const strategies = { immediate: 1, forceMiss: 2, wait: 3 } as const

function replace(sandbox: Sandbox, key: number, length: number, mask: number, options: number): Replacement {
  const { memory } = sandbox
  if ((mask & 8) !== 0) refuse(status.unsupported, 'a service has no other cache than its own')
  if ((mask & ~30) !== 0) refuse(status.unsupported, 'an unknown option of a replacement')
  const headers = (mask & 2) !== 0 ? headersOf(sandbox, memory.readU32(options)) : []
  const strategy = (mask & 4) !== 0 ? memory.readU32(options + 4) : strategies.immediate
  if (strategy < 1 || strategy > 3) refuse(status.invalidArgument)
  const entry = lookUp(sandbox, keyWords(sandbox, key, length, headers), strategy === strategies.wait)
  entry.strictRanges = (mask & 16) !== 0
  return new Replacement(entry, strategy === strategies.forceMiss)
}

function insertBy(sandbox: Sandbox, entry: CacheEntry, mask: number, options: number, back: boolean) {
  const { written, headers } = readWrite(sandbox, mask, options)
  // In a transaction the lookup's fields count.
  if (headers !== undefined) refuse(status.invalidArgument)
  return insertObject(sandbox, entry.at, entry.takeTurn(), written, back)
}

function close(sandbox: Sandbox, entry: CacheEntry): void {
  if (entry.ready) entry.close()
  else entry.whenReady(() => !sandbox.over && entry.close())
}

const replacedFacts = Object.fromEntries(
  Object.entries({ ...commonFacts, get_user_metadata: metadata }).map(([name, { ofReplacement }]) => [
    `replace_${name}`,
    ofReplacement,
  ]),
)

const calls: Record<string, Hostcall> = {
  ...Object.fromEntries(Object.entries(commonFacts).map(([name, { call }]) => [name, call])),
  ...replacedFacts,
  get_user_metadata: metadata.call,
  get_state: state,
  lookup(sandbox, key, keyLength, mask, options, out: number) {
    sandbox.memory.u32(out, sandbox.handles.add(plainLookup(sandbox, key, keyLength, mask, options)))
  },
  insert(sandbox, key: number, keyLength: number, mask: number, options: number, out: number) {
    const { written, headers } = readWrite(sandbox, mask, options)
    const at = keyWords(sandbox, key, keyLength, headers ?? [])
    sandbox.memory.u32(out, insertObject(sandbox, at, undefined, written, false).body)
  },
  transaction_lookup(sandbox, key, keyLength, mask, options, out: number) {
    const entry = collapsingLookup(sandbox, key, keyLength, mask, options)
    return entry.whenFound(() => sandbox.memory.u32(out, sandbox.handles.add(entry)))
  },
  transaction_lookup_async(sandbox, key, keyLength, mask, options, out: number) {
    const entry = collapsingLookup(sandbox, key, keyLength, mask, options)
    sandbox.memory.u32(out, sandbox.handles.add(new BusyEntry(entry)))
  },
  cache_busy_handle_wait(sandbox, handle: number, out: number) {
    const busy = sandbox.handles.get(handle, BusyEntry)
    const entry = busy.entry ?? refuse(status.badHandle)
    return entry.whenFound(() => {
      busy.entry = undefined
      sandbox.memory.u32(out, sandbox.handles.add(entry))
    })
  },
  transaction_insert(sandbox, handle: number, mask: number, options: number, out: number) {
    const entry = sandbox.handles.get(handle, CacheEntry)
    return entry.whenFound(() => sandbox.memory.u32(out, insertBy(sandbox, entry, mask, options, false).body))
  },
  transaction_insert_and_stream_back(
    sandbox,
    handle: number,
    mask: number,
    options: number,
    out: number,
    back: number,
  ) {
    const entry = sandbox.handles.get(handle, CacheEntry)
    return entry.whenFound(() => {
      const inserted = insertBy(sandbox, entry, mask, options, true)
      sandbox.memory.u32(out, inserted.body)
      sandbox.memory.u32(back, sandbox.handles.add(inserted.entry!))
    })
  },
  async transaction_update(sandbox, handle: number, mask: number, options: number) {
    const entry = sandbox.handles.get(handle, CacheEntry)
    const { written, headers } = readWrite(sandbox, mask, options)
    if (headers !== undefined) refuse(status.invalidArgument)
    await entry.whenFound(() => undefined)
    if (entry.any === undefined) refuse(status.badHandle, 'there is nothing to update')
    const updated = updateObject(sandbox, entry, written)
    return updated.whenFound(() => {
      updated.close()
      return status.ok
    })
  },
  transaction_cancel(sandbox, handle: number) {
    const entry = sandbox.handles.get(handle, CacheEntry)
    return entry.whenFound(() => entry.end('cancel'))
  },
  close_busy(sandbox, handle: number) {
    const { entry } = sandbox.handles.take(handle, BusyEntry)
    if (entry !== undefined) close(sandbox, entry)
  },
  close(sandbox, handle: number) {
    close(sandbox, sandbox.handles.take(handle, CacheEntry))
  },
  get_body: (sandbox, handle: number, mask: number, options: number, out: number) =>
    body(sandbox, sandbox.handles.get(handle, CacheEntry), mask, options, out),
  replace(sandbox, key, length, mask, options, out: number) {
    const replacement = replace(sandbox, key, length, mask, options)
    return replacement.entry.whenFound(() => sandbox.memory.u32(out, sandbox.handles.add(replacement)))
  },
  replace_insert(sandbox, handle: number, mask: number, options: number, out: number) {
    const { entry } = sandbox.handles.take(handle, Replacement)
    const { written, headers } = readWrite(sandbox, mask, options)
    if (headers !== undefined) refuse(status.invalidArgument)
    const turn = entry.turn === undefined ? undefined : entry.takeTurn()
    sandbox.memory.u32(out, insertObject(sandbox, entry.at, turn, written, false).body)
    entry.close()
  },
  async replace_get_body(sandbox, handle: number, mask: number, options: number, out: number) {
    const { entry, forceMiss } = sandbox.handles.get(handle, Replacement)
    return forceMiss ? status.none : body(sandbox, entry, mask, options, out)
  },
  replace_get_state(sandbox, handle: number, out: number) {
    const { entry, forceMiss } = sandbox.handles.get(handle, Replacement)
    return entry.whenFound(() => {
      if (forceMiss || entry.found === undefined) return status.none
      sandbox.memory.u32(out, entry.state & ~stateBits.mustInsertOrUpdate)
      return status.ok
    })
  },
}

export const coreCache: HostcallModule = {
  name: 'fastly_cache',
  // Each may have to wait for the lookup that its handle stands for, but these.
  waits: new Set(
    Object.keys(calls).filter(
      (name) => !/^(?:lookup|insert|transaction_lookup_async|close|close_busy|replace_insert)$/.test(name),
    ),
  ),
  calls,
}
