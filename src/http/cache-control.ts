/** `Cache-Control` (RFC 9111 §5.2) and its targeted forms (RFC 9213), read into one shape. */
import { parseDictionary } from './structured-fields.ts'

/** Durations are in seconds. A directive whose value cannot be read counts as its strictest value. */
export interface ResponseDirectives {
  readonly noStore: boolean
  /** True, or the fields that must not be reused without validation (lower case). */
  readonly noCache: boolean | readonly string[]
  /** True, or the fields that a shared cache must not store (lower case). */
  readonly private: boolean | readonly string[]
  readonly public: boolean
  readonly mustRevalidate: boolean
  readonly proxyRevalidate: boolean
  readonly mustUnderstand: boolean
  readonly maxAge: number | undefined
  readonly sMaxage: number | undefined
  readonly staleWhileRevalidate: number | undefined
  readonly staleIfError: number | undefined
}

export interface RequestDirectives {
  readonly noCache: boolean
  readonly noStore: boolean
  readonly onlyIfCached: boolean
  readonly maxAge: number | undefined
  readonly minFresh: number | undefined
  /** Infinity where the client takes any staleness. */
  readonly maxStale: number | undefined
}

/** RFC 9111 §1.2.2: larger numbers count as 2^31. */
const longestSeconds = 2 ** 31

/** Non-negative integer seconds; undefined when the text is none. */
export function parseDeltaSeconds(text: string): number | undefined {
  return /^\d+$/.test(text) ? Math.min(Number(text), longestSeconds) : undefined
}

// name [= quoted-string | anything up to a comma], then up to the next comma.
const directive = /[\s,]*([^\s,="]+)(?:(=)(?:"((?:[^"\\]|\\.)*)"|([^,]*)))?([^,]*)/y

/** Every directive with its values in order; a value is undefined where there is none. Names are lower case. */
function readDirectives(field: string): Map<string, (string | undefined)[]> {
  const found = new Map<string, (string | undefined)[]>()
  directive.lastIndex = 0
  while (directive.lastIndex < field.length) {
    const start = directive.lastIndex
    const match = directive.exec(field)
    if (match === null) {
      const comma = field.indexOf(',', start + 1)
      if (comma === -1) break
      directive.lastIndex = comma
      continue
    }
    const [, name, equals, quoted, plain, rest] = match
    // Something between the value and the comma (or before `=`) makes the value unreadable.
    const value = rest!.trim() !== '' ? '?' : equals === undefined ? undefined : (quoted ?? plain!.trimEnd())
    const values = found.get(name!.toLowerCase())
    if (values === undefined) found.set(name!.toLowerCase(), [value])
    else values.push(value)
  }
  return found
}

/** The smallest of several; 0 where one cannot be read (RFC 9111 §4.2.1: then the answer counts as stale). */
function seconds(values: readonly (string | undefined)[] | undefined): number | undefined {
  if (values === undefined) return undefined
  return Math.min(...values.map((value) => parseDeltaSeconds(value ?? '') ?? 0))
}

function fields(values: readonly (string | undefined)[] | undefined): boolean | readonly string[] {
  if (values === undefined) return false
  if (values.some((value) => value === undefined || value === '?')) return true
  const names = values.flatMap((value) => value!.split(',')).map((name) => name.trim().toLowerCase())
  return names.filter((name) => name !== '')
}

/** `field` joins all lines of `Cache-Control` or `Surrogate-Control`. */
export function parseResponseDirectives(field: string): ResponseDirectives {
  const found = readDirectives(field)
  return {
    noStore: found.has('no-store'),
    noCache: fields(found.get('no-cache')),
    private: fields(found.get('private')),
    public: found.has('public'),
    mustRevalidate: found.has('must-revalidate'),
    proxyRevalidate: found.has('proxy-revalidate'),
    mustUnderstand: found.has('must-understand'),
    maxAge: seconds(found.get('max-age')),
    sMaxage: seconds(found.get('s-maxage')),
    staleWhileRevalidate: seconds(found.get('stale-while-revalidate')),
    staleIfError: seconds(found.get('stale-if-error')),
  }
}

/**
 * A targeted field such as `CDN-Cache-Control`: a Structured Fields dictionary. Undefined when it is empty, cannot be
 * parsed, or gives a directive a value of another type than it has: then it is as if it were not there (RFC 9213 §2.1).
 */
export function parseTargetedDirectives(field: string): ResponseDirectives | undefined {
  const found = parseDictionary(field)
  if (found === undefined || found.size === 0) return undefined
  let fits = true
  const flag = (name: string): boolean => {
    const value = found.get(name)
    if (value !== undefined && typeof value !== 'boolean') fits = false
    return value === true
  }
  const duration = (name: string): number | undefined => {
    const value = found.get(name)
    if (value === undefined) return undefined
    if (typeof value !== 'number' || !Number.isInteger(value)) fits = false
    return Math.min(Math.max(Number(value), 0), longestSeconds)
  }
  const names = (name: string): boolean | readonly string[] => {
    const value = found.get(name)
    if (typeof value === 'string') return fields([value])
    return flag(name)
  }
  const directives = {
    noStore: flag('no-store'),
    noCache: names('no-cache'),
    private: names('private'),
    public: flag('public'),
    mustRevalidate: flag('must-revalidate'),
    proxyRevalidate: flag('proxy-revalidate'),
    mustUnderstand: flag('must-understand'),
    maxAge: duration('max-age'),
    sMaxage: duration('s-maxage'),
    staleWhileRevalidate: duration('stale-while-revalidate'),
    staleIfError: duration('stale-if-error'),
  }
  return fits ? directives : undefined
}

/** `Cache-Control` of a request, or `Pragma` where there is none (RFC 9111 §5.4). */
export function parseRequestDirectives(field: string | undefined, pragma: string | undefined): RequestDirectives {
  const found = readDirectives(field ?? (pragma !== undefined && /\bno-cache\b/i.test(pragma) ? 'no-cache' : ''))
  const maxStale = found.get('max-stale')
  return {
    noCache: found.has('no-cache'),
    noStore: found.has('no-store'),
    onlyIfCached: found.has('only-if-cached'),
    maxAge: seconds(found.get('max-age')),
    minFresh: seconds(found.get('min-fresh')),
    maxStale: maxStale?.every((value) => value === undefined) ? Number.POSITIVE_INFINITY : seconds(maxStale),
  }
}
