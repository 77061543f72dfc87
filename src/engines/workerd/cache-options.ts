/**
 * What `fetch(url, { cf })` of a program says about caching
 * (developers.cloudflare.com/workers/runtime-apis/request#the-cf-property-requestinitcfproperties).
 */
import type { CacheWish } from '#/core/cache-policy.ts'

export type CacheOptions =
  | { readonly kind: 'wish'; readonly wish: CacheWish }
  /** A sentence that names the option, for the program's owner. */
  | { readonly kind: 'refused'; readonly why: string }

/**
 * Without options an answer is kept only as long as it says itself: what a program fetches is often an API, where a
 * guess from `Last-Modified` would surprise.
 */
const asTheAnswerSays: CacheWish = { policy: { defaultTtl: 0 } }
const nothing: CacheOptions = { kind: 'wish', wish: asTheAnswerSays }
const past: CacheOptions = { kind: 'wish', wish: { bypass: true } }

/** Options that change what is fetched: they are refused, because the answer would be another one without them. */
const refusedOptions: readonly string[] = ['image', 'resolveOverride', 'vary', 'cacheControl']

/** One glance tells that a request's own `cf`, handed on by `fetch(request)`, says nothing about this. */
const anyOption = /"(?:cache|image"|resolveOverride"|vary")/

/** `cf` is serialized JSON or ''. Options of other kinds are hints, and ignored like by Cloudflare where they do not apply. */
export function readCacheOptions(cf: string): CacheOptions {
  if (cf === '' || !anyOption.test(cf)) return nothing
  const options = JSON.parse(cf) as Record<string, unknown>
  for (const name of refusedOptions) {
    if (options[name] == null || (name === 'cacheControl' && isRuntimes(options))) continue
    return refused(`The option cf.${name} of fetch() is not supported here.`)
  }
  // `cache: 'no-store'`, 'reload' and 'no-cache' of fetch() arrive as these.
  if (options.cacheLevel === 'bypass' || options.cacheForceRevalidate === true) return past
  return readWish(options)
}

/** The runtime adds `cacheControl` itself where `cacheTtl` or `cache` is set, in the words of those. */
function isRuntimes({ cacheControl, cacheTtl, cacheLevel, cacheForceRevalidate }: Record<string, unknown>): boolean {
  if (typeof cacheTtl === 'number' && cacheControl === `max-age=${cacheTtl}`) return true
  if (cacheControl === 'no-store') return cacheLevel === 'bypass' || (typeof cacheTtl === 'number' && cacheTtl < 0)
  return cacheControl === 'no-cache' && cacheForceRevalidate === true
}

function readWish(options: Record<string, unknown>): CacheOptions {
  const { cacheTtl, cacheEverything, cacheKey, cacheTags, cacheTtlByStatus } = options
  if (cacheTtl != null && typeof cacheTtl !== 'number') return wrongType('cacheTtl', 'a number of seconds')
  if (cacheEverything != null && typeof cacheEverything !== 'boolean') return wrongType('cacheEverything', 'a boolean')
  if (cacheKey != null && (typeof cacheKey !== 'string' || /[\r\n\0]/.test(cacheKey)))
    return wrongType('cacheKey', 'a text of one line')
  if (cacheTags != null && !(Array.isArray(cacheTags) && cacheTags.every((tag) => typeof tag === 'string')))
    return wrongType('cacheTags', 'a list of texts')
  const ttlByStatus = cacheTtlByStatus == null ? undefined : readTtlByStatus(cacheTtlByStatus)
  if (ttlByStatus === null)
    return wrongType('cacheTtlByStatus', 'an object such as { "200-299": 86400, "404": 1, "500-599": -1 }')
  if (cacheTtl != null && cacheTtl < 0 && ttlByStatus === undefined) return past
  return {
    kind: 'wish',
    wish: {
      ...(cacheEverything === true ? { everything: true } : asTheAnswerSays),
      ...(cacheTtl == null ? {} : { ttl: Math.trunc(cacheTtl) }),
      ...(ttlByStatus === undefined ? {} : { ttlByStatus }),
      ...(cacheKey == null ? {} : { key: cacheKey }),
      ...(cacheTags == null ? {} : { tags: cacheTags }),
    },
  }
}

/** Null when it is not of the documented form. */
function readTtlByStatus(given: unknown): NonNullable<CacheWish['ttlByStatus']> | null {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return null
  const rows: { from: number; to: number; ttl: number }[] = []
  for (const [range, ttl] of Object.entries(given)) {
    const match = /^([1-9]\d\d)(?:-([1-9]\d\d))?$/.exec(range)
    if (match === null || typeof ttl !== 'number') return null
    rows.push({ from: Number(match[1]), to: Number(match[2] ?? match[1]), ttl: Math.trunc(ttl) })
  }
  return rows
}

function refused(why: string): CacheOptions {
  return { kind: 'refused', why }
}

function wrongType(name: string, expected: string): CacheOptions {
  return refused(`The option cf.${name} of fetch() must be ${expected}.`)
}
