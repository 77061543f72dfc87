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

/** A value that cannot be read. */
const unreadable = '?'

/**
 * Every directive with its values in order; a value is undefined where there is none. Names are lower case. Something
 * between a value and the comma, or a quote that does not end, makes the value unreadable. One pass, whatever the text.
 */
function readDirectives(field: string): Map<string, (string | undefined)[]> {
  const found = new Map<string, (string | undefined)[]>()
  let at = 0
  while (at < field.length) {
    const start = at
    while (at < field.length && !' \t,="'.includes(field[at]!)) at++
    const name = field.slice(start, at).toLowerCase()
    if (name === '' && (field[at] === ' ' || field[at] === '\t' || field[at] === ',')) {
      at++
      continue
    }
    let value: string | undefined
    if (field[at] === '=') {
      const read = readValue(field, at + 1)
      value = read.value
      at = read.end
    }
    const comma = field.indexOf(',', at)
    const end = comma === -1 ? field.length : comma
    if (field.slice(at, end).trim() !== '') value = unreadable
    at = end + 1
    if (name === '') continue
    const values = found.get(name)
    if (values === undefined) found.set(name, [value])
    else values.push(value)
  }
  return found
}

function readValue(field: string, start: number): { readonly value: string; readonly end: number } {
  if (field[start] !== '"') {
    const comma = field.indexOf(',', start)
    const end = comma === -1 ? field.length : comma
    return { value: field.slice(start, end).trimEnd(), end }
  }
  for (let at = start + 1; at < field.length; at++) {
    if (field[at] === '\\') at++
    else if (field[at] === '"') return { value: field.slice(start + 1, at), end: at + 1 }
  }
  return { value: unreadable, end: field.length }
}

/** The smallest of several; 0 where one cannot be read (RFC 9111 §4.2.1: then the answer counts as stale). */
function seconds(values: readonly (string | undefined)[] | undefined): number | undefined {
  if (values === undefined) return undefined
  return Math.min(...values.map((value) => parseDeltaSeconds(value ?? '') ?? 0))
}

function fields(values: readonly (string | undefined)[] | undefined): boolean | readonly string[] {
  if (values === undefined) return false
  if (values.some((value) => value === undefined || value === unreadable)) return true
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
