/** Request settings, cache settings, response objects and gzip. https://www.fastly.com/documentation/reference/api/vcl-services/ */
import type { ServicePart } from '#/control/services/service-records.ts'
import type { CacheKeyShape } from '#/core/cache-policy.ts'
import type { AnswerRule, CacheRule, CompressionRule, RequestRule } from '#/core/delivery-rules.ts'
import { badRequest } from './errors.ts'
import type { Resolve } from './translate.ts'
import { every, flagOf, numberOf, textOf } from './translate-fields.ts'

/** `append_all` differs from `append` between points of presence only. */
const forwardedFor: Readonly<Record<string, NonNullable<RequestRule['forwardedFor']>>> = {
  append: 'append',
  append_all: 'append',
  clear: 'clear',
  leave: 'leave',
  overwrite: 'overwrite',
}

export function translateRequestSettings(part: ServicePart, resolve: Resolve): RequestRule {
  const bad = (why: string) => badRequest(`Request settings '${part.name}': ${why}.`)
  const action = textOf(part, 'action')
  if (action !== undefined && action !== 'pass' && action !== 'lookup')
    throw bad(`the action '${action.slice(0, 40)}' is not supported`)
  const xff = textOf(part, 'xff') ?? 'append'
  const forwarded = forwardedFor[xff]
  if (forwarded === undefined) throw bad(`xff '${xff.slice(0, 40)}' is not supported`)
  const hostField = textOf(part, 'default_host')
  const keys = textOf(part, 'hash_keys')
  const key = keys === undefined ? undefined : keyShape(keys)
  if (typeof key === 'string') throw bad(key)
  return {
    name: part.name,
    ...(action === 'pass' && { pass: true }),
    ...(flagOf(part, 'force_miss') && { refresh: true }),
    ...(flagOf(part, 'force_ssl') && { tlsOnly: true }),
    ...(hostField !== undefined && { hostField }),
    ...(forwarded !== 'append' && { forwardedFor: forwarded }),
    ...(key !== undefined && { key }),
    ...every(resolve(textOf(part, 'request_condition'), 'request', part)),
  }
}

/** `req.url, req.http.host` and header fields; why not, otherwise. */
function keyShape(text: string): CacheKeyShape | string {
  const names = text.split(/[\s,]+/).filter((name) => name !== '')
  const path = names.includes('req.url.path') && !names.includes('req.url')
  if (!path && !names.includes('req.url')) return 'hash_keys without req.url or req.url.path are not supported'
  const headers: string[] = []
  for (const name of names) {
    if (['req.url', 'req.url.path', 'req.http.host', 'req.http.Host'].includes(name)) continue
    const field = /^req\.http\.([\w-]+)$/.exec(name)?.[1]
    if (field === undefined) return `the hash key '${name.slice(0, 60)}' is not supported`
    headers.push(field.toLowerCase())
  }
  const named = names.some((name) => name.toLowerCase() === 'req.http.host')
  return {
    ...(path && { query: { kind: 'none' as const } }),
    ...(!named && { ignoreHost: true }),
    ...(headers.length > 0 && { headers }),
  }
}

export function translateCacheSettings(part: ServicePart, resolve: Resolve): CacheRule {
  const action = textOf(part, 'action')
  if (action !== undefined && !['pass', 'cache', 'deliver'].includes(action))
    throw badRequest(`Cache settings '${part.name}': the action '${action.slice(0, 40)}' is not supported.`)
  const ttl = numberOf(part, 'ttl')
  const stale = numberOf(part, 'stale_ttl')
  return {
    name: part.name,
    action: action === 'pass' ? 'pass' : 'keep',
    ...(ttl !== undefined && { ttl }),
    ...(stale !== undefined && { staleIfError: stale }),
    ...every(resolve(textOf(part, 'cache_condition'), 'cache', part)),
  }
}

export function translateResponse(part: ServicePart, resolve: Resolve): AnswerRule {
  const bad = (why: string) => badRequest(`Response object '${part.name}': ${why}.`)
  const status = numberOf(part, 'status') ?? 200
  if (status < 200 || status > 599) throw bad('a status is 200 to 599')
  const reason = textOf(part, 'response')
  if (reason !== undefined && !/^[\t\x20-\x7e]*$/.test(reason)) throw bad('the response is not one line of text')
  const contentType = textOf(part, 'content_type')
  if (contentType !== undefined && !/^[\x20-\x7e]*$/.test(contentType))
    throw bad('the content type is not one line of text')
  const cacheCondition = textOf(part, 'cache_condition')
  const phase = cacheCondition === undefined ? 'request' : 'cache'
  return {
    name: part.name,
    phase,
    status,
    ...(reason !== undefined && { reason }),
    ...(contentType !== undefined && { contentType }),
    body: textOf(part, 'content') ?? '',
    ...every(resolve(textOf(part, 'request_condition'), phase, part), resolve(cacheCondition, phase, part)),
  }
}

const usualTypes =
  'text/html application/x-javascript text/css application/javascript text/javascript application/json application/vnd.ms-fontobject application/x-font-opentype application/x-font-truetype application/x-font-ttf application/xml font/eot font/opentype font/otf image/svg+xml image/vnd.microsoft.icon text/plain text/xml'
const usualExtensions = 'css js html eot ico otf ttf json svg'

export function translateGzip(part: ServicePart, resolve: Resolve): CompressionRule {
  const words = (text: string) =>
    text
      .toLowerCase()
      .split(/[\s,]+/)
      .filter((word) => word !== '')
  return {
    name: part.name,
    types: words(textOf(part, 'content_types') ?? usualTypes),
    extensions: words(textOf(part, 'extensions') ?? usualExtensions),
    ...every(resolve(textOf(part, 'cache_condition'), 'cache', part)),
  }
}
