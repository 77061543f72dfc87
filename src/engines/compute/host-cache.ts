/** The cache that Compute programs fill themselves, and their purges, on the node's side. */
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import type { CoreCache, CoreCacheKey, CoreCacheLookup, CoreCacheObject, CoreCacheTurn } from '#/core/core-cache.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { SharedCache } from '#/core/ports.ts'
import type {
  CacheAdvised,
  CacheAdviseHead,
  CacheBodyHead,
  CacheEndHead,
  CacheInsertHead,
  CacheKeyWords,
  CacheLookedUp,
  CacheLookupHead,
  CacheReleaseHead,
  CacheUpdateHead,
  PurgeKeyHead,
} from './cache-protocol.ts'
import { wishOf } from './fetch-cache.ts'
import type { HostCalls, HostRun } from './host-calls.ts'
import { asHead } from './protocol.ts'
import { InBody, pumpInto, toReadable } from './wire-body.ts'
import type { InCall, Reply } from './wire-messages.ts'

export interface CacheCallsOptions {
  readonly core: CoreCache
  readonly purge: SharedCache['purge']
  readonly limits: Limits
}

export function cacheCalls(options: CacheCallsOptions): HostCalls {
  const { core, purge } = options
  const heldOf = createHolders(options.limits)
  return {
    async 'cache-lookup'(run, words) {
      const head = words as unknown as CacheLookupHead
      const key = keyOf(run, head.at)
      const held = heldOf(run)
      await held.brought()
      if (head.collapse) return held.reply(await core.take(key, run.signal))
      const found = await core.lookup(key)
      return held.reply({ ...(found && { found }) })
    },
    'cache-insert': (run, words, call) => {
      const head = words as unknown as CacheInsertHead
      if (!(call.body instanceof InBody)) throw new EdgeError('bad_request', 'An object needs a body.')
      // Of an object whose length was announced nobody waits for the end: SDKs leave it out.
      const body = toReadable(call.body, head.written.length)
      // A body that breaks off is not kept; that is all there is to do about it.
      body.on('error', () => {})
      const held = heldOf(run)
      held.bring(call.body, body)
      if (head.turn === undefined) {
        core.insert(keyOf(run, head.at!), head.written, body)
        return none
      }
      const found = held.takeTurn(head.turn).insert(head.written, body, head.back)
      return held.reply({ ...(found && { found }) })
    },
    async 'cache-update'(run, words) {
      const head = words as unknown as CacheUpdateHead
      const held = heldOf(run)
      const found = await held.takeTurn(head.turn).update(head.written)
      return held.reply({ ...(found && { found }) })
    },
    'cache-end': (run, words) => {
      const { turn, how, forMs } = words as unknown as CacheEndHead
      const one = heldOf(run).takeTurn(turn)
      if (how === 'cancel') one.cancel()
      else if (how === 'use-stale') one.useStale()
      else one.notCacheable(forMs)
      return none
    },
    'cache-body': (run, words, call) => giveBody(heldOf(run), words as unknown as CacheBodyHead, call),
    'cache-release': (run, words) => {
      heldOf(run).release((words as unknown as CacheReleaseHead).object)
      return none
    },
    'cache-advise': (run, words) => {
      const { at, status, headers, stored, override } = words as unknown as CacheAdviseHead
      const answer = stored
        ? { status: stored.status, headers: core.merged([...stored.headers], headers) }
        : { status, headers }
      const told: CacheAdvised = core.advise(keyOf(run, at), answer, override ? wishOf(override) : wishOf(asAnswered))
      return { head: asHead(told), body: null }
    },
    async 'purge-key'(run, words) {
      const { key, soft } = words as unknown as PurgeKeyHead
      await purge([{ scope: run.program.name, soft, what: { kind: 'tag', tag: key } }])
      return none
    },
  }
}

const none: Reply = { head: {}, body: null }
const asAnswered = { pass: false, memoryOnly: false, surrogateKey: '' } as const

function keyOf({ program }: HostRun, { space, key, headers, url }: CacheKeyWords): CoreCacheKey {
  return { scope: program.name, space, key, headers: [...headers], url }
}

/** What one request has of the cache: turns that it must end, objects that it may read. */
interface Holder {
  reply(lookup: CoreCacheLookup): Reply
  /** `body` of an object, as it comes in over the line and as it goes into the cache. */
  bring(line: InBody, body: Readable): void
  /** Resolves when what the program has sent to the end is in the cache, for it to find it whole. */
  brought(): Promise<void>
  takeTurn(number: number): CoreCacheTurn
  object(number: number): CoreCacheObject
  release(number: number): void
}

function createHolders(limits: Limits): (run: HostRun) => Holder {
  const known = new WeakMap<HostRun, Holder>()
  return (run) => {
    let holder = known.get(run)
    if (holder === undefined) {
      holder = createHolder(run, limits)
      known.set(run, holder)
    }
    return holder
  }
}

/** With the request everything ends: others take over what it was to bring. */
function createHolder({ signal }: HostRun, limits: Limits): Holder {
  const turns = new Map<number, CoreCacheTurn>()
  const objects = new Map<number, CoreCacheObject>()
  const coming = new Map<Readable, InBody>()
  let next = 1
  signal.addEventListener(
    'abort',
    () => {
      for (const turn of turns.values()) turn.cancel()
      for (const object of objects.values()) object.release()
      turns.clear()
      objects.clear()
    },
    { once: true },
  )

  function words(found: CoreCacheObject): NonNullable<CacheLookedUp['found']> {
    const { written, state, ageMs, hits, length } = found
    const object = next++
    objects.set(object, found)
    return { object, written, state, ageMs, hits, ...(length !== undefined && { length }) }
  }

  return {
    reply({ found, turn, despiteError }) {
      if (signal.aborted || turns.size + objects.size >= limits.computeHandles * 2) {
        turn?.cancel()
        found?.release()
        throw new EdgeError('overloaded', 'This request holds too many objects of the cache.')
      }
      const number = turn && next++
      if (turn) turns.set(number!, turn)
      const told: CacheLookedUp = {
        ...(found && { found: words(found) }),
        ...(turn && { turn: number! }),
        ...(despiteError && { despiteError }),
      }
      // A small body goes along: it is what most look for.
      const small = found?.length !== undefined && found.length <= alongBytes
      return { head: asHead(told), body: (small && found.atHand()) || null }
    },
    bring(line, body) {
      coming.set(body, line)
      body.once('close', () => coming.delete(body))
    },
    async brought() {
      // Where the cache makes it wait for a slow reader or the disk, so long as that is not for us to wait.
      for (const [body, line] of coming)
        while (line.ended && !body.readableEnded && !body.destroyed && !body.isPaused()) await setImmediate()
    },
    takeTurn(number) {
      const turn = turns.get(number)
      if (turn === undefined) throw new EdgeError('bad_request', 'That turn is over.')
      turns.delete(number)
      return turn
    },
    object(number) {
      const object = objects.get(number)
      if (object === undefined) throw new EdgeError('bad_request', 'There is no such object.')
      return object
    },
    release(number) {
      objects.get(number)?.release()
      objects.delete(number)
    },
  }
}

function giveBody(held: Holder, { object, from, to, strict }: CacheBodyHead, call: InCall): Reply | undefined {
  const body = held.object(object).body({
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
    strict,
  })
  if (body instanceof Readable) {
    call.reply({ head: {}, body: 'stream' })
    pumpInto(call.out, body)
    return undefined
  }
  if (body === null || body.length <= inlineBytes) return { head: {}, body }
  call.reply({ head: {}, body: 'stream' })
  call.out.write(body)
  call.out.end()
  return undefined
}

/** Larger objects are fetched when they are read. */
const alongBytes = 16 * 1024

/** Longer bodies leave in several frames. */
const inlineBytes = 1024 * 1024
