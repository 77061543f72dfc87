/** What a cell and its node say to each other about the cache that programs fill themselves. */
import type { CoreCacheState, CoreCacheWrite } from '#/core/core-cache.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { FetchCache } from './fetch-protocol.ts'

export interface CacheKeyWords {
  readonly space: 'core' | 'http'
  /** base64. */
  readonly key: string
  readonly headers: HeaderList
  readonly url: string
}

/** Cell → node. Reply: `CacheLookedUp`. */
export interface CacheLookupHead {
  readonly do: 'cache-lookup'
  readonly run: number
  readonly at: CacheKeyWords
  /** Waits for who brings it already, and may have to bring it. */
  readonly collapse: boolean
}

/** An object, under the number by which its body is asked for. */
export interface CacheObjectWords {
  readonly object: number
  readonly written: CoreCacheWrite
  readonly state: CoreCacheState
  readonly ageMs: number
  readonly hits: number
  readonly length?: number
}

export interface CacheLookedUp {
  readonly found?: CacheObjectWords
  /** The turn's number. */
  readonly turn?: number
  readonly despiteError?: boolean
}

/** Cell → node, with the body as a stream: by a turn, or past all turns by a key. Reply, at once: `CacheLookedUp`. */
export interface CacheInsertHead {
  readonly do: 'cache-insert'
  readonly run: number
  readonly turn?: number
  readonly at?: CacheKeyWords
  readonly written: CoreCacheWrite
  readonly back: boolean
}

/** Cell → node. Reply: `CacheLookedUp`. */
export interface CacheUpdateHead {
  readonly do: 'cache-update'
  readonly run: number
  readonly turn: number
  readonly written: CoreCacheWrite
}

/** Cell → node. */
export interface CacheEndHead {
  readonly do: 'cache-end'
  readonly run: number
  readonly turn: number
  readonly how: 'cancel' | 'use-stale' | 'not-cacheable'
  readonly forMs: number
}

/** Cell → node. Reply: the bytes. */
export interface CacheBodyHead {
  readonly do: 'cache-body'
  readonly run: number
  readonly object: number
  readonly from?: number
  readonly to?: number
  readonly strict: boolean
}

/** Cell → node: nobody reads it any more. */
export interface CacheReleaseHead {
  readonly do: 'cache-release'
  readonly run: number
  readonly object: number
}

/** Cell → node: what HTTP's rules say of storing an answer. Reply: `CacheAdvised`. */
export interface CacheAdviseHead {
  readonly do: 'cache-advise'
  readonly run: number
  readonly at: CacheKeyWords
  readonly status: number
  readonly headers: HeaderList
  /** Fields of the stored answer that a 304 changes; the advice is for what comes of it. */
  readonly stored?: { readonly status: number; readonly headers: HeaderList }
  readonly override?: FetchCache
}

export type CacheAdvised =
  | { readonly store: true; readonly written: CoreCacheWrite }
  | { readonly store: false; readonly why: string }

/** Cell → node: purges a surrogate key of the service. */
export interface PurgeKeyHead {
  readonly do: 'purge-key'
  readonly run: number
  readonly key: string
  readonly soft: boolean
}
