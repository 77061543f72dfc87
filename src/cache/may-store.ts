/** May this answer be stored, and as what? RFC 9111 §3, with what CDNs refuse besides. */
import type { HeaderList } from '#/core/exchange.ts'
import type { Milliseconds } from '#/core/units.ts'
import { headerValue } from '#/http/header-list.ts'
import { parseHttpDate } from '#/http/http-date.ts'
import type { Ask } from './ask.ts'
import { type EffectiveDirectives, effectiveDirectives } from './directives.ts'
import { type AnswerFacts, dateOf, forcedTtl, initialAge, type Lifetime, lifetimeOf } from './freshness.ts'
import { fieldsToKeep } from './stored-fields.ts'
import { selection, varyNames } from './vary-key.ts'

/** What was found out when an answer was stored and is needed at each use; plain JSON, `StoredHead.policy`. */
export interface StoredPolicy {
  readonly lifetimeMs: Milliseconds
  readonly lifetimeFrom: Lifetime['why']
  readonly initialAgeMs: Milliseconds
  readonly staleWhileRevalidateMs: Milliseconds
  readonly staleIfErrorMs: Milliseconds
  /** May it be used stale where the origin cannot be reached, although nobody said so (RFC 9111 §4.2.4)? */
  readonly staleIfDown: boolean
  /** `no-cache`: never without validation. */
  readonly validateAlways: boolean
  /** What the request said in the fields named by `Vary`. */
  readonly selects: string
  /** Content-Language, where it is one. */
  readonly language?: string
  readonly etag?: string
  readonly lastModified?: string
  /** When it was last changed as far as is known, for `If-Modified-Since`. */
  readonly changedAt: number
  /** The `Range` that it answered, word for word, and the last position it named. */
  readonly range?: string
  readonly rangeEnd?: number
  /** `Surrogate-*` and `Cache-Tag`, which only those who debug get to see. */
  readonly surrogate?: HeaderList
  /** Names the body, where the answer is not the one that came with it any more (304). */
  readonly bodyId?: string
  /** On a coded body: the name of the one that it was made of. */
  readonly codedFrom?: string
  /** When a soft purge made it stale, milliseconds since 1970. */
  readonly staleSince?: number
}

export type StoreRefusal =
  | 'no-store'
  | 'private'
  | 'authorization'
  | 'set-cookie'
  | 'vary-star'
  | 'not-understood'
  | 'status'
  | 'content-range'
  | 'no-freshness'
  | 'ttl'
  | 'request-no-store'
  | 'rule'

export type Storing =
  | { readonly store: false; readonly why: StoreRefusal }
  | {
      readonly store: true
      readonly headers: HeaderList
      readonly vary: readonly string[]
      readonly policy: StoredPolicy
      readonly partial: { readonly start: number; readonly total: number | undefined } | undefined
    }

const refuse = (why: StoreRefusal): Storing => ({ store: false, why })

/** Statuses whose caching rules this cache knows (`must-understand`, §5.2.2.3). */
const understood: ReadonlySet<number> = new Set([
  200, 203, 204, 206, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 413, 414, 415,
  421, 422, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 511,
])

/** The request is a GET (HEAD is fetched as one), or a POST whose answer says that it is what a GET would get. */
export function mayStore(answer: AnswerFacts, ask: Ask): Storing {
  const { status, headers } = answer
  if (status < 200 || status === 304 || status === 416) return refuse('status')
  if (answer.withheld === true) return refuse('rule')
  const effective = effectiveDirectives(headers)
  const { directives } = effective
  const { policy, wish } = ask
  const forced = forcedTtl(status, policy, wish)
  if (forced !== undefined && forced < 0) return refuse('ttl')
  if (ask.directives?.noStore === true) return refuse('request-no-store')
  if (directives.mustUnderstand && !understood.has(status)) return refuse('not-understood')
  if (directives.noStore && !directives.mustUnderstand && forced === undefined) return refuse('no-store')
  if (directives.private === true && wish.ttl === undefined) return refuse('private')
  if (ask.hasAuthorization && !sharedDespiteAuthorization(effective)) return refuse('authorization')
  const vary = varyNames(headers)
  if (vary === '*') return refuse('vary-star')
  const keep = fieldsToKeep(headers, directives, {
    dropCookies: wish.ttl !== undefined,
    partial: status === 206,
    receivedAt: answer.receivedAt,
  })
  if (policy.storeSetCookie !== true && headerValue(keep.headers, 'set-cookie') !== undefined)
    return refuse('set-cookie')
  const partial = status === 206 ? contentRange(headers, ask.range) : undefined
  if (status === 206 && partial === undefined) return refuse('content-range')
  const stored = storedPolicy(answer, ask, effective, vary)
  if (stored.lifetimeMs === 0 && stored.etag === undefined && stored.lastModified === undefined)
    return refuse('no-freshness')
  const { end, ...part } = partial ?? { end: undefined }
  return {
    store: true,
    headers: keep.headers,
    vary,
    partial: partial === undefined ? undefined : (part as { start: number; total: number | undefined }),
    policy: {
      ...stored,
      ...(keep.surrogate === undefined ? {} : { surrogate: keep.surrogate }),
      ...(end === undefined ? {} : { range: ask.range!, rangeEnd: end }),
    },
  }
}

/** §3.5. */
function sharedDespiteAuthorization({ directives }: EffectiveDirectives): boolean {
  return directives.public || directives.mustRevalidate || directives.sMaxage !== undefined
}

function storedPolicy(
  answer: AnswerFacts,
  { policy, wish, headers: asked }: Ask,
  effective: EffectiveDirectives,
  vary: readonly string[],
): StoredPolicy {
  const { headers } = answer
  const { directives, general } = effective
  const lifetime = lifetimeOf(answer, effective, policy, wish)
  const etag = headerValue(headers, 'etag')
  const lastModified = headerValue(headers, 'last-modified')
  const language = headerValue(headers, 'content-language')?.trim().toLowerCase()
  const ordered = lifetime.why === 'ttl'
  const noCache = directives.noCache === true && !ordered
  // §5.2.2.2, §5.2.2.8: never stale. `s-maxage` means the same (§5.2.2.10), but lets stale-* stand that say otherwise.
  const strict = !ordered && (noCache || directives.mustRevalidate || directives.proxyRevalidate)
  const grace = (own: number | undefined, other: number | undefined, site: number | undefined) =>
    strict ? 0 : (own ?? other ?? site ?? 0) * 1000
  return {
    lifetimeMs: lifetime.ms,
    lifetimeFrom: lifetime.why,
    initialAgeMs: initialAge(answer),
    staleWhileRevalidateMs: grace(
      wish.staleWhileRevalidate ?? directives.staleWhileRevalidate,
      general.staleWhileRevalidate,
      policy.staleWhileRevalidate,
    ),
    staleIfErrorMs: grace(wish.staleIfError ?? directives.staleIfError, general.staleIfError, policy.staleIfError),
    staleIfDown: !strict && directives.sMaxage === undefined,
    validateAlways: noCache,
    selects: selection(vary, asked),
    ...(language === undefined || language.includes(',') ? {} : { language }),
    ...(etag === undefined ? {} : { etag }),
    ...(lastModified === undefined ? {} : { lastModified }),
    changedAt:
      (lastModified === undefined ? undefined : parseHttpDate(lastModified, answer.receivedAt)) ?? dateOf(answer),
  }
}

/** `Content-Range: bytes first-last/total` (RFC 9110 §14.4), for an answer to a request that named a range. */
function contentRange(headers: HeaderList, asked: string | undefined) {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(?:(\d{1,15})|\*)$/i.exec(headerValue(headers, 'content-range') ?? '')
  if (match === null || asked === undefined || Number(match[2]) < Number(match[1])) return undefined
  return {
    start: Number(match[1]),
    end: Number(match[2]),
    total: match[3] === undefined ? undefined : Number(match[3]),
  }
}
