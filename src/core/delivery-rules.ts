/**
 * What a site does with requests and answers beside caching them by their own words: rules in our nouns, immutable, part of
 * a Snapshot. The doors translate into them, `control/` keeps them, `edge/` applies them. `when` is text in the language of
 * `condition.ts`; absent: always. Rules stand in the order in which they are applied.
 */
import type { CacheKeyShape } from './cache-policy.ts'
import type { OriginPool } from './origin.ts'
import type { Seconds } from './units.ts'

export interface DeliveryRules {
  readonly pools: readonly PoolRule[]
  readonly requests: readonly RequestRule[]
  readonly headers: readonly HeaderRule[]
  readonly answers: readonly AnswerRule[]
  readonly caching: readonly CacheRule[]
  readonly compression: readonly CompressionRule[]
}

/** Where requests go: to the last one whose `when` holds, else to the first without. */
export interface PoolRule {
  readonly name: string
  readonly pool: OriginPool
  readonly when?: string
}

/** What happens to a request before the cache is asked. */
export interface RequestRule {
  readonly name: string
  readonly when?: string
  /** Requests over cleartext are sent to the same address over TLS. */
  readonly tlsOnly?: boolean
  /** Neither looked up nor stored. */
  readonly pass?: boolean
  /** Not looked up, but stored. */
  readonly refresh?: boolean
  readonly hostField?: string
  /** What becomes of `X-Forwarded-For`; default `append`. */
  readonly forwardedFor?: 'append' | 'clear' | 'leave' | 'overwrite'
  readonly key?: CacheKeyShape
}

export interface HeaderRule {
  readonly name: string
  /**
   * `request`: before the cache is asked; `fetch`: the same, after all of `request`; `cache`: on the origin's answer before
   * it is stored; `response`: on every answer before it goes to the client.
   */
  readonly phase: 'request' | 'fetch' | 'cache' | 'response'
  readonly action: 'set' | 'append' | 'delete' | 'replace' | 'replace-all'
  /** Lower case; `url` stands for the request's path and query. */
  readonly target: { readonly kind: 'field'; readonly field: string } | { readonly kind: 'url' }
  /** Text in the language of `condition.ts`. For `set`, `append` and the replacing ones: what is written, or replaced in. */
  readonly value?: string
  readonly pattern?: string
  readonly replacement?: string
  /** Leaves a field that is there as it is. */
  readonly onlyIfAbsent: boolean
  readonly when?: string
}

/** Answers made here: instead of asking the origin (`request`), or instead of what it said (`cache`). */
export interface AnswerRule {
  readonly name: string
  readonly phase: 'request' | 'cache'
  readonly status: number
  readonly reason?: string
  readonly contentType?: string
  readonly body: string
  readonly when?: string
}

/** How an origin's answer is kept; the first whose `when` holds decides. */
export interface CacheRule {
  readonly name: string
  readonly action: 'pass' | 'keep'
  /** Absent: what the answer says. */
  readonly ttl?: Seconds
  /** How long it may be used beyond its time while the origin fails. */
  readonly staleIfError?: Seconds
  readonly when?: string
}

/** Which answers are compressed, in the coding that the client likes best: by media type (lower case, without parameters) or extension of the path. */
export interface CompressionRule {
  readonly name: string
  readonly types: readonly string[]
  readonly extensions: readonly string[]
  readonly when?: string
}

/** What conditions look things up in; changes without the rules. */
export interface Lookups {
  /** By name: texts by key. */
  readonly tables: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** By name: addresses and networks; the longest prefix decides. */
  readonly lists: Readonly<Record<string, readonly ListedNetwork[]>>
}

export interface ListedNetwork {
  readonly address: string
  /** Bits; absent: one address. */
  readonly prefix?: number
  /** Is not in the list, though a wider network may be. */
  readonly negated: boolean
}
