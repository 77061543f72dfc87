/**
 * A cache that programs fill and read themselves: Compute's core cache and the HTTP cache of its newer SDKs. Objects lie in
 * the shared cache's store and are purged with what it holds. The port and its nouns.
 */
import type { Readable } from 'node:stream'
import type { CacheWish } from './cache-policy.ts'
import type { Body, HeaderList } from './exchange.ts'
import type { ProgramName } from './snapshot.ts'
import type { Bytes, Milliseconds } from './units.ts'

/** What a program looks for. */
export interface CoreCacheKey {
  readonly scope: ProgramName
  /** Two spaces of keys: `core`, and `http` for answers to requests. */
  readonly space: 'core' | 'http'
  readonly key: string
  /** Of the request, for the objects' vary rules. */
  readonly headers: HeaderList
  /** Absolute, for purges by URL; '' where the object has none. */
  readonly url: string
}

/** All that is kept beside the body. */
export interface CoreCacheWrite {
  readonly maxAgeMs: Milliseconds
  readonly initialAgeMs: Milliseconds
  readonly staleWhileRevalidateMs: Milliseconds
  readonly staleIfErrorMs: Milliseconds
  /** Names of fields, lower case. */
  readonly vary: readonly string[]
  readonly tags: readonly string[]
  /** Length of the body, where it is known before its end. */
  readonly length?: Bytes
  /** base64. */
  readonly metadata: string
  /** Never on disk. */
  readonly sensitive: boolean
  readonly status: number
  readonly headers: HeaderList
}

/** `stale`: good for nothing but being revalidated. */
export type CoreCacheState = 'fresh' | 'while-revalidating' | 'if-error' | 'stale'

export interface CoreCacheObject {
  readonly written: CoreCacheWrite
  readonly state: CoreCacheState
  readonly ageMs: Milliseconds
  /** How often it was found, this time included. */
  readonly hits: number
  /** Undefined while it is arriving and nobody said how long it will be. */
  readonly length: Bytes | undefined
  /** `range` is inclusive and may be open. One that does not fit gives the whole, where `strict` is not set. */
  body(range?: { readonly from?: number; readonly to?: number; readonly strict?: boolean }): Body
  /** All of it, where it lies in memory. */
  atHand(): Uint8Array | undefined
  /** Nobody will read it. */
  release(): void
}

/** The one of all who look for the same that is to bring it; each method ends it, once. */
export interface CoreCacheTurn {
  /** Found at once by all who wait, while it is arriving. `back`: the caller gets it too, from its first byte. */
  insert(written: CoreCacheWrite, body: Readable, back: boolean): CoreCacheObject | undefined
  /** New words for the stale object's body. Undefined when it is gone meanwhile. */
  update(written: CoreCacheWrite): Promise<CoreCacheObject | undefined>
  /** Those who wait get the object that may stand in for an error. */
  useStale(): void
  /** Nobody waits for anybody here for so long. */
  notCacheable(ms: Milliseconds): void
  /** Another one brings it. */
  cancel(): void
}

export interface CoreCacheLookup {
  readonly found?: CoreCacheObject
  readonly turn?: CoreCacheTurn
  /** `found` stands in for an error that another one met. */
  readonly despiteError?: boolean
}

/** What HTTP's rules say of an answer that a program might store. */
export type CoreCacheAdvice =
  | { readonly store: false; readonly why: string }
  | { readonly store: true; readonly written: CoreCacheWrite }

export interface CoreCache {
  /** Waits for nobody. */
  lookup(key: CoreCacheKey): Promise<CoreCacheObject | undefined>
  /** Waits for who brings it already, if anybody does. Rejects with `client_gone` when the signal aborts. */
  take(key: CoreCacheKey, signal: AbortSignal): Promise<CoreCacheLookup>
  insert(key: CoreCacheKey, written: CoreCacheWrite, body: Readable): void
  /** RFC 9111 §3 and §4.2, by the words of the answer. */
  advise(
    key: CoreCacheKey,
    answer: { readonly status: number; readonly headers: HeaderList },
    wish: CacheWish,
  ): CoreCacheAdvice
  /** RFC 9111 §3.2: the stored fields as a 304 changes them. */
  merged(stored: HeaderList, fresh: HeaderList): HeaderList
}
