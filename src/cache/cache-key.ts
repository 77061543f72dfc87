/** Primary cache keys (RFC 9111 §2): one text per resource as a site shapes it. */
import type { CacheKeyShape } from '#/core/cache-policy.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { EgressRequest } from '#/core/ports.ts'
import { headerValues } from '#/http/header-list.ts'
import { poisonNames } from '#/http/poison-names.ts'

export interface KeyParts {
  readonly by: EgressRequest['by']
  /** Canonical. */
  readonly url: string
  readonly headers: HeaderList
  readonly shape: CacheKeyShape | undefined
  /** Chosen by a program (`cf.cacheKey`): stands for the URL. */
  readonly given: string | undefined
}

/**
 * Nothing of the path is normalised: `%2f` is no slash and `/a/../b` not `/b` to every origin, and merging them would
 * give one path's answer to another. Parts are joined by bytes that no URL and no field holds.
 */
export function cacheKey({ by, url, headers, shape, given }: KeyParts): string {
  const owner = 'site' in by ? `s ${by.site}` : `p ${by.program}`
  const unkeyed = 'program' in by ? poisonFields(headers) : ''
  if (given !== undefined) return `${owner}\n=${given}${unkeyed}`
  if (shape === undefined) return `${owner}\n${url}${unkeyed}`
  return `${owner}\n${shapeUrl(url, shape)}${shapeFields(headers, shape)}${unkeyed}`
}

const slash = 0x2f
const question = 0x3f
const hash = 0x23

/** Scheme and host in lower case, no default port, no fragment; the rest as it came. */
export function canonicalUrl(url: string): string {
  const scheme = url.indexOf('://')
  const start = scheme + 3
  let end = start
  for (; end < url.length; end++) {
    const code = url.charCodeAt(end)
    if (code === slash || code === question || code === hash) break
  }
  const name = url.slice(0, scheme).toLowerCase()
  const authority = url.slice(start, end).toLowerCase()
  const defaultPort = name === 'https' ? ':443' : ':80'
  const host = authority.endsWith(defaultPort) ? authority.slice(0, -defaultPort.length) : authority
  const fragment = url.indexOf('#', end)
  const rest = fragment === -1 ? url.slice(end) : url.slice(end, fragment)
  return `${name}://${host}${rest.startsWith('/') ? rest : `/${rest}`}`
}

function shapeUrl(url: string, shape: CacheKeyShape): string {
  const mark = url.indexOf('?')
  let base = mark === -1 ? url : url.slice(0, mark)
  if (shape.ignoreHost === true) base = base.slice(base.indexOf('/', base.indexOf('//') + 2))
  if (mark === -1) return base
  const query = shapeQuery(url.slice(mark + 1), shape)
  return query === undefined ? base : `${base}?${query}`
}

/** Undefined: no query in the key. Parameters keep their spelling; `sortQuery` keeps the order of equal names. */
function shapeQuery(query: string, { query: kept, sortQuery }: CacheKeyShape): string | undefined {
  if (kept?.kind === 'none') return undefined
  const filters = kept?.kind === 'only' || kept?.kind === 'without'
  if (!filters && sortQuery !== true) return query
  let parameters = query.split('&')
  if (kept?.kind === 'only' || kept?.kind === 'without') {
    const counts = kept.kind === 'only' ? isAmong : isNotAmong
    parameters = parameters.filter((parameter) => counts(parameter, kept.names))
  }
  // By name alone: sort() is stable, and origins read repeated parameters in their order.
  if (sortQuery === true) parameters.sort((a, b) => compare(nameOf(a), nameOf(b)))
  return parameters.length === 0 ? undefined : parameters.join('&')
}

function nameOf(parameter: string): string {
  const equals = parameter.indexOf('=')
  return equals === -1 ? parameter : parameter.slice(0, equals)
}

/** Some origins separate parameters by `;` too: what stands behind one may be any parameter, so it always counts. */
function isNotAmong(parameter: string, names: readonly string[]): boolean {
  return parameter.includes(';') || !names.some((name) => matchesName(name, nameOf(parameter)))
}

/** Also in the spellings under which some origins take a parameter for the one that counts. */
function isAmong(parameter: string, names: readonly string[]): boolean {
  if (parameter.includes(';')) return true
  const name = sameToOrigins(nameOf(parameter))
  return names.some((one) => matchesName(sameToOrigins(one), name))
}

/** `%69d`, ` id`, `id[0]` and, in PHP, dots for underscores. */
function sameToOrigins(name: string): string {
  let decoded = name.replaceAll('+', ' ')
  try {
    decoded = decodeURIComponent(decoded)
  } catch {
    // Not UTF-8: it is what it is.
  }
  return decoded
    .trimStart()
    .replace(/[[\0].*$/s, '')
    .replace(/[. ]/g, '_')
}

/** A name, or the beginning of names with `*` at its end: `utm_*`. */
function matchesName(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function shapeFields(headers: HeaderList, shape: CacheKeyShape): string {
  const { headers: names, cookies } = shape
  let text = ''
  for (const name of names ?? []) text += `\n${name.toLowerCase()}: ${headerValues(headers, name.toLowerCase()) ?? ''}`
  if (cookies !== undefined && cookies.length > 0) {
    const sent = new Map<string, string>()
    for (const pair of (headerValues(headers, 'cookie') ?? '').split(/[;,]/)) {
      const equals = pair.indexOf('=')
      if (equals > 0) sent.set(pair.slice(0, equals).trim(), pair.slice(equals + 1).trim())
    }
    for (const name of cookies) text += `\ncookie ${name}=${sent.get(name) ?? ''}`
  }
  for (const part of shape.parts ?? []) text += `\npart ${part}`
  return text
}

/** Also what the edge itself sets for sites, which a program may set as it likes. */
const programPoison: ReadonlySet<string> = new Set([...poisonNames, 'host', 'x-forwarded-host', 'x-forwarded-proto'])

function poisonFields(headers: HeaderList): string {
  let text = ''
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    if (programPoison.has(name)) text += `\n${name}: ${headers[index + 1]}`
  }
  return text
}
