/** A look into the cache that programs fill themselves, its outcome, and what the program still owes. */
import type { CoreCacheWrite } from '#/core/core-cache.ts'
import type {
  CacheBodyHead,
  CacheEndHead,
  CacheInsertHead,
  CacheKeyWords,
  CacheLookedUp,
  CacheLookupHead,
  CacheObjectWords,
  CacheUpdateHead,
} from '../cache-protocol.ts'
import { asHead } from '../protocol.ts'
import type { Message } from '../wire-messages.ts'
import type { AsyncItem } from './async-item.ts'
import { GuestBody, StreamingBody } from './bodies.ts'
import type { GuestRequest } from './messages.ts'
import type { Sandbox } from './sandbox.ts'
import { refuse, status } from './status.ts'

/** `cache_lookup_state` of the ABI. */
export const stateBits = { found: 1, usable: 2, stale: 4, mustInsertOrUpdate: 8, usableIfError: 16 } as const

export class CacheEntry implements AsyncItem {
  readonly at: CacheKeyWords
  readonly #sandbox: Sandbox
  readonly #waiting: (() => void)[] = []
  #looked: CacheLookedUp | undefined
  #failed = false
  /** The object's body, where it came along. */
  #whole: Uint8Array | undefined
  #lookedAt = 0
  /** The turn that this lookup was given, until it is ended. */
  turn: number | undefined
  /** It is used whatever its age: the program brought it itself, or chose it in place of an error. */
  chosen = false
  /** Ranges that do not fit give nothing, instead of the whole. */
  strictRanges = false
  /** In the space of requests: the one that was looked up. */
  request: GuestRequest | undefined
  /** Handle of the body that was given out last. */
  #body: { readonly handle: number; readonly body: GuestBody } | undefined

  constructor(sandbox: Sandbox, at: CacheKeyWords, reply: Promise<Message>) {
    this.#sandbox = sandbox
    this.at = at
    reply.then(
      ({ head, body }) => {
        if (body instanceof Uint8Array) this.#whole = body
        this.#settle(head as CacheLookedUp)
      },
      () => this.#settle(undefined),
    )
  }

  #settle(looked: CacheLookedUp | undefined): void {
    this.#failed = looked === undefined
    this.#looked = looked ?? {}
    this.#lookedAt = performance.now()
    this.turn = looked?.turn
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  get ready(): boolean {
    return this.#looked !== undefined
  }

  whenReady(callback: () => void): void {
    if (this.ready) callback()
    else this.#waiting.push(callback)
  }

  /** Runs when the outcome is there, at once where it is. Throws `error` when the lookup failed. */
  whenFound<Result>(use: () => Result): Result | Promise<Result> {
    const checked = () => {
      if (this.#failed) refuse(status.error, 'the lookup failed')
      return use()
    }
    return this.ready ? checked() : new Promise<void>((resolve) => this.#waiting.push(resolve)).then(checked)
  }

  /** What was found, whether or not it may be used as it is. */
  get any(): CacheObjectWords | undefined {
    return this.#looked?.found
  }

  /** What was found and may be used. */
  get found(): CacheObjectWords | undefined {
    const found = this.any
    if (found === undefined) return undefined
    const usable = found.state === 'fresh' || found.state === 'while-revalidating'
    return usable || this.chosen || this.#looked?.despiteError === true ? found : undefined
  }

  get state(): number {
    const { found, any } = this
    let bits = 0
    if (found !== undefined) bits |= stateBits.found | stateBits.usable
    if (found !== undefined && found.state !== 'fresh') bits |= stateBits.stale
    const standsIn = any?.state === 'if-error' || this.#looked?.despiteError === true
    if (standsIn && any !== undefined) bits |= stateBits.usableIfError
    if (this.turn !== undefined) bits |= stateBits.mustInsertOrUpdate
    return bits
  }

  get ageMs(): number {
    // What the program chose itself is as old as it was then.
    const since = this.chosen ? 0 : performance.now() - this.#lookedAt
    return (this.found?.ageMs ?? 0) + since
  }

  /** Throws `bad handle` where the program owes nothing. */
  takeTurn(): number {
    const { turn } = this
    if (turn === undefined) refuse(status.badHandle, 'nothing is to be inserted here')
    this.turn = undefined
    return turn
  }

  /** Ends what it owes, so that another takes over; what it holds is let go. */
  close(): void {
    if (this.turn !== undefined) this.end('cancel')
    const found = this.any
    if (found !== undefined)
      tell(this.#sandbox, { do: 'cache-release', run: this.#sandbox.run.run, object: found.object })
  }

  end(how: CacheEndHead['how'], forMs = 0): void {
    const head: CacheEndHead = { do: 'cache-end', run: this.#sandbox.run.run, turn: this.takeTurn(), how, forMs }
    tell(this.#sandbox, head)
  }

  /** A handle of the body, or of a range of it. Throws `none` where nothing was found, `bad handle` while the last one is held. */
  async giveBody(range: Pick<CacheBodyHead, 'from' | 'to' | 'strict'>): Promise<number> {
    const { handles, line, run, limits } = this.#sandbox
    const found = this.found ?? refuse(status.none)
    if (this.#body !== undefined && handles.peek(this.#body.handle) === this.#body.body)
      refuse(status.badHandle, 'the body is still being read')
    const isWhole = range.from === undefined && range.to === undefined
    let source: Message['body'] | undefined = isWhole ? this.#whole : undefined
    if (source === undefined) {
      const head: CacheBodyHead = { do: 'cache-body', run: run.run, object: found.object, ...range }
      source = (await line.call(asHead(head), null).reply.catch(() => refuse(status.error))).body
    }
    const body = new GuestBody(limits.bodyBytes, source)
    if (isWhole) body.announced = found.length
    const handle = handles.add(body)
    this.#body = { handle, body }
    return handle
  }
}

function tell(sandbox: Sandbox, head: object): void {
  sandbox.line.call(asHead(head), null).reply.catch(() => {})
}

export function lookUp(sandbox: Sandbox, at: CacheKeyWords, collapse: boolean): CacheEntry {
  const head: CacheLookupHead = { do: 'cache-lookup', run: sandbox.run.run, at, collapse }
  return new CacheEntry(sandbox, at, sandbox.line.call(asHead(head), null).reply)
}

/** A handle of the way in for the object's body, and where `back` is set the look at what is being inserted. */
export function insertObject(
  sandbox: Sandbox,
  at: CacheKeyWords,
  turn: number | undefined,
  written: CoreCacheWrite,
  back: boolean,
): { readonly body: number; readonly entry: CacheEntry | undefined } {
  const where = turn === undefined ? { at } : { turn }
  const head: CacheInsertHead = { do: 'cache-insert', run: sandbox.run.run, ...where, written, back }
  const call = sandbox.line.call(asHead(head), 'stream')
  const entry = back ? new CacheEntry(sandbox, at, call.reply) : undefined
  if (entry !== undefined) entry.chosen = true
  else call.reply.catch(() => {})
  return { body: sandbox.handles.add(new StreamingBody(call.out!)), entry }
}

export function updateObject(sandbox: Sandbox, entry: CacheEntry, written: CoreCacheWrite): CacheEntry {
  const head: CacheUpdateHead = { do: 'cache-update', run: sandbox.run.run, turn: entry.takeTurn(), written }
  const updated = new CacheEntry(sandbox, entry.at, sandbox.line.call(asHead(head), null).reply)
  updated.chosen = true
  return updated
}

/** Nanoseconds of the ABI in milliseconds. */
export function fromNs(ns: bigint): number {
  return Number(ns) / 1e6
}

export function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}

export function toNs(ms: number): bigint {
  return BigInt(Math.max(0, Math.round(ms * 1e6)))
}
