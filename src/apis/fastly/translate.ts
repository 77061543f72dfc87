/** From the parts of a version, in Fastly's words, to a site's origins and rules, in ours. Pure; refuses by name. */
import type { ServiceDesign, ServicePart } from '#/control/services/service-records.ts'
import type { CachePolicy } from '#/core/cache-policy.ts'
import { answerOf, type ConditionPhase, readCondition, readValue } from '#/core/condition.ts'
import type { HeaderRule } from '#/core/delivery-rules.ts'
import { membersOf } from './directors.ts'
import { badRequest } from './errors.ts'
import { flagOf, numberOf, textOf } from './translate-fields.ts'
import { translateHeader } from './translate-header.ts'
import { translateLog } from './translate-log.ts'
import {
  type KeyFits,
  translateBackend,
  translateCheck,
  translateDirector,
  translatePools,
} from './translate-origin.ts'
import {
  translateCacheSettings,
  translateGzip,
  translateRequestSettings,
  translateResponse,
} from './translate-settings.ts'

/** The text of a condition by name, for a rule of a phase; `undefined` for no name. */
export type Resolve = (name: string | undefined, phase: ConditionPhase, user: ServicePart) => string | undefined

/** Types of conditions, and the phases whose facts they may use. */
const conditionTypes: Readonly<Record<string, ConditionPhase>> = {
  REQUEST: 'request',
  PREFETCH: 'request',
  CACHE: 'cache',
  RESPONSE: 'response',
}

/** Throws a `FastlyError` that names the part and what is wrong with it, as far as it can be seen alone. */
export function checkPart(part: ServicePart): void {
  const alone: Resolve = () => undefined
  switch (part.kind) {
    case 'backend':
      translateBackend(part, () => undefined)
      return
    case 'director':
      translateDirector(part)
      return
    case 'healthcheck':
      translateCheck(part)
      return
    case 'header':
      translateHeader(part, alone)
      return
    case 'condition':
      checkCondition(part)
      return
    case 'request_settings':
      translateRequestSettings(part, alone)
      return
    case 'cache_settings':
      translateCacheSettings(part, alone)
      return
    case 'response_object':
      translateResponse(part, alone)
      return
    case 'logging/https':
    case 'logging/syslog':
      translateLog(part)
      return
    case 'dictionary':
    case 'acl':
      if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(part.name))
        throw badRequest(`'${part.name}' is not a name: a letter, then letters, digits and underscores.`)
  }
}

/** Throws a `FastlyError` naming the first part that does not fit. */
export function translate(parts: readonly ServicePart[], keyFits: KeyFits): ServiceDesign {
  const of = (kind: string) => parts.filter((part) => part.kind === kind)
  const resolve = resolver(of('condition'), of('dictionary'), of('acl'))
  const byCondition = (kind: string) => ordered(of(kind), of('condition'))
  const checks = new Map(of('healthcheck').map((part) => [part.name, translateCheck(part)]))
  const [settings] = of('settings')
  const host = settings && textOf(settings, 'general.default_host')
  const defaultHost = host === undefined ? [] : [{ name: 'default host', hostField: host }]
  const idsOf = (kind: string) => Object.fromEntries(of(kind).map((part) => [part.name, textOf(part, 'id') ?? '']))
  return {
    hostnames: of('domain').map(({ name }) => name),
    rules: {
      pools: translatePools(byCondition('backend'), {
        ...{ resolve, keyFits, checkOf: (name) => checks.get(name) },
        directors: of('director').map((part) => ({ part, members: membersOf(parts, part.name) })),
      }),
      requests: [
        ...defaultHost,
        ...byCondition('request_settings').map((part) => translateRequestSettings(part, resolve)),
      ],
      headers: of('header')
        .toSorted((one, other) => (numberOf(one, 'priority') ?? 100) - (numberOf(other, 'priority') ?? 100))
        .map((part) => withTables(translateHeader(part, resolve), of('dictionary'))),
      answers: byCondition('response_object').map((part) => translateResponse(part, resolve)),
      caching: byCondition('cache_settings').map((part) => translateCacheSettings(part, resolve)),
      compression: byCondition('gzip').map((part) => translateGzip(part, resolve)),
    },
    cache: cachePolicy(settings),
    tables: idsOf('dictionary'),
    lists: idsOf('acl'),
  }
}

/** Dictionaries that a header rule's value looks into must be there. */
function withTables(rule: HeaderRule, dictionaries: readonly ServicePart[]): HeaderRule {
  const read =
    rule.value === undefined ? undefined : readValue(rule.value, rule.phase === 'fetch' ? 'request' : rule.phase)
  for (const table of read?.ok ? read.uses.tables : [])
    if (!dictionaries.some(({ name }) => name === table))
      throw badRequest(`Header rule '${rule.name}': there is no dictionary '${table}'.`)
  return rule
}

/** https://www.fastly.com/documentation/guides/concepts/edge-state/cache/cache-freshness/ */
function cachePolicy(settings: ServicePart | undefined): CachePolicy {
  if (settings === undefined) return { defaultTtl: 3600 }
  const keepsStale = flagOf(settings, 'general.stale_if_error')
  return {
    defaultTtl: numberOf(settings, 'general.default_ttl') ?? 3600,
    ...(keepsStale && { staleIfError: numberOf(settings, 'general.stale_if_error_ttl') ?? 43_200 }),
  }
}

/** Those with a condition first, by its priority; then the others. */
function ordered(parts: readonly ServicePart[], conditions: readonly ServicePart[]): ServicePart[] {
  const priority = (part: ServicePart) => {
    const name = textOf(part, 'request_condition') ?? textOf(part, 'cache_condition')
    if (name === undefined) return Number.MAX_SAFE_INTEGER
    const condition = conditions.find((one) => one.name === name)
    return condition === undefined ? 100 : (numberOf(condition, 'priority') ?? 100)
  }
  return parts.toSorted((one, other) => priority(one) - priority(other))
}

function checkCondition(part: ServicePart): ReturnType<typeof readCondition> & { readonly ok: true } {
  const type = textOf(part, 'type')?.toUpperCase() ?? 'REQUEST'
  const phase = conditionTypes[type]
  if (phase === undefined)
    throw badRequest(`Condition '${part.name}': the type '${type.slice(0, 40)}' is not supported.`)
  const read = readCondition(textOf(part, 'statement') ?? '', phase)
  if (!read.ok) throw badRequest(`Condition '${part.name}': ${read.why}.`)
  return read
}

function resolver(
  conditions: readonly ServicePart[],
  dictionaries: readonly ServicePart[],
  acls: readonly ServicePart[],
): Resolve {
  const has = (parts: readonly ServicePart[], name: string) => parts.some((part) => part.name === name)
  for (const part of conditions) {
    const { uses } = checkCondition(part)
    for (const table of uses.tables)
      if (!has(dictionaries, table)) throw badRequest(`Condition '${part.name}': there is no dictionary '${table}'.`)
    for (const list of uses.lists)
      if (!has(acls, list)) throw badRequest(`Condition '${part.name}': there is no ACL '${list}'.`)
  }
  return (name, phase, user) => {
    if (name === undefined) return undefined
    const found = conditions.find((part) => part.name === name)
    if (found === undefined) throw badRequest(`'${user.name}': there is no condition '${name}'.`)
    const ofType = conditionTypes[textOf(found, 'type')?.toUpperCase() ?? 'REQUEST']!
    if (answerOf[ofType] !== undefined && ofType !== phase)
      throw badRequest(`'${user.name}': condition '${name}' is about the ${ofType} phase and cannot be used here.`)
    return textOf(found, 'statement')
  }
}
