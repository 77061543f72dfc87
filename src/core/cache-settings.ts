/**
 * Rules that say how answers are kept, by what a request looks like. Nouns, immutable, part of a Snapshot: the doors
 * translate into them, `control/` keeps them, `compile-cache-rules.ts` makes closures of them.
 */
import type { CacheKeyShape, CachePolicy } from './cache-policy.ts'
import type { Seconds } from './units.ts'

/** Rules of a domain and what lies below it. Of several domains around a host, only the longest one's rules count. */
export interface DomainCacheRules {
  /** Lower case. */
  readonly domain: string
  /** Every rule that matches counts; a later one's settings win over those of the same name before. */
  readonly rules: readonly CacheRuleOfDomain[]
}

export interface CacheRuleOfDomain {
  readonly name: string
  /** In the language of `expressions/`. */
  readonly when: string
  readonly settings: CacheSettings
}

export interface CacheSettings {
  /**
   * `false`: neither looked up nor stored. `true`: kept for a usual time where the answer says nothing. Absent: `ttl`
   * counts only for files by their extension (`static-files.ts`), everything else is kept as its answer says.
   */
  readonly keep?: boolean
  readonly ttl?: {
    /** `override`: for `seconds`, whatever the answer says. `stated`: only what says itself how long. `respect`: as it says. */
    readonly mode: 'override' | 'respect' | 'stated'
    readonly seconds?: Seconds
    /** These win over `seconds`; -1: not stored. */
    readonly byStatus?: CachePolicy['ttlByStatus']
  }
  /** What clients are told in `Cache-Control`. `stated`: nothing may be kept that does not say so itself. */
  readonly clientTtl?: { readonly mode: 'override' | 'respect' | 'stated'; readonly seconds?: Seconds }
  readonly key?: RequestKey
  /** A file by its extension is kept only where its Content-Type fits (cache deception). */
  readonly fittingTypesOnly?: boolean
  /** Do not give stale answers while they are fetched anew. */
  readonly neverWhileUpdating?: boolean
  /** Answers with a strong entity tag go to clients byte for byte: not compressed here. */
  readonly keepStrongTags?: boolean
}

/** What becomes part of a cache key besides the URL. Field names in lower case. */
export interface RequestKey extends CacheKeyShape {
  readonly deviceType?: boolean
  readonly country?: boolean
  readonly language?: boolean
  /** Whether a field or a cookie is there, whatever it says. */
  readonly presentHeaders?: readonly string[]
  readonly presentCookies?: readonly string[]
  /** Which of these texts a field contains. */
  readonly containedIn?: readonly { readonly header: string; readonly texts: readonly string[] }[]
}
