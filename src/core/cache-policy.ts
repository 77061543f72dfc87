/**
 * What a site may say about caching, beyond what its answers say by RFC 9111. Nouns only: `cache/` decides by them,
 * `control/` keeps them, the doors translate into them.
 */
import type { Seconds } from './units.ts'

export interface CachePolicy {
  /** Freshness of an answer that says nothing itself; absent: RFC 9111's heuristics, where they apply. */
  readonly defaultTtl?: Seconds
  /** Freshness by status, before what the answer says when `override` is set, else where it says nothing. */
  readonly ttlByStatus?: readonly { readonly from: number; readonly to: number; readonly ttl: Seconds }[]
  readonly override?: boolean
  readonly staleWhileRevalidate?: Seconds
  readonly staleIfError?: Seconds
  /** Store answers with `Set-Cookie` (RFC 9111 allows it; CDNs refuse). Default false. */
  readonly storeSetCookie?: boolean
  readonly key?: CacheKeyShape
  /** Paths that are never looked up nor stored; `*` matches any text. */
  readonly bypassPaths?: readonly string[]
  /**
   * Obey `Cache-Control` of requests (RFC 9111 §5.2.1). Default false, as at CDNs: it lets every client send requests
   * through to the origin.
   */
  readonly obeyRequestDirectives?: boolean
  /**
   * Files by their extension (`static-files.ts`) that say nothing themselves are kept for a usual time. A file whose
   * Content-Type does not fit its extension is not, unless `anyType` (cache deception).
   */
  readonly staticFiles?: { readonly anyType?: boolean }
}

/** How requests become cache keys. Default: scheme, host, path and query as sent. */
export interface CacheKeyShape {
  readonly query?:
    | { readonly kind: 'all' }
    | { readonly kind: 'none' }
    | { readonly kind: 'only'; readonly names: readonly string[] }
    | { readonly kind: 'without'; readonly names: readonly string[] }
  readonly sortQuery?: boolean
  readonly ignoreHost?: boolean
  readonly headers?: readonly string[]
  readonly cookies?: readonly string[]
  /** Texts that a rule made from the request; set for one request, never kept. */
  readonly parts?: readonly string[]
}

/** What one request asks of the shared cache, from a site's policy or from the program that fetches. */
export interface CacheWish {
  readonly policy?: CachePolicy
  /** `fetch(url, { cf })` of Workers, `CacheOverride` of Compute: these win over `policy`. */
  readonly ttl?: Seconds
  readonly ttlByStatus?: CachePolicy['ttlByStatus']
  /** Store whatever is not marked private, with heuristics or `ttl`. */
  readonly everything?: boolean
  /** Stands for the URL in the key. */
  readonly key?: string
  readonly tags?: readonly string[]
  /** Neither look up nor store. */
  readonly bypass?: boolean
  /** Do not look up, but store. */
  readonly refresh?: boolean
  readonly staleIfError?: Seconds
  /** Request fields that the site's own rules write: they reach the origin although clients' would not. */
  readonly writtenFields?: readonly string[]
  readonly staleWhileRevalidate?: Seconds
  /** Stored, but never on disk. */
  readonly memoryOnly?: boolean
}

/** How wishes travel between nodes. */
export interface PurgeWords {
  /** As every node may see it; where this node cannot hide it, all that is kept of its site. */
  hide(wish: PurgeWish): PurgeWish
  /** What is meant; where this node cannot read it, all that is kept of its site. */
  show(wish: PurgeWish): PurgeWish
}

/** What must go; the schemes of URLs and prefixes do not matter. `soft` marks stale instead, so that stale-while-revalidate and stale-if-error go on serving. */
export interface PurgeWish {
  /** Whose objects: a site's or a program's name; absent: the whole platform (administrators only). */
  readonly scope?: string
  readonly what:
    | { readonly kind: 'everything' }
    | { readonly kind: 'url'; readonly url: string }
    | { readonly kind: 'tag'; readonly tag: string }
    | { readonly kind: 'prefix'; readonly prefix: string }
    | { readonly kind: 'host'; readonly host: string }
    /** One of these of a site that stays in countries, as it travels: only nodes there can read which. */
    | { readonly kind: 'hidden'; readonly text: string }
  readonly soft: boolean
}
