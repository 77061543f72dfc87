/** Backends and health checks as pools of origins. https://www.fastly.com/documentation/reference/api/services/backend/ */
import ipaddr from 'ipaddr.js'
import type { z } from 'zod'
import type { ServicePart } from '#/control/services/service-records.ts'
import { healthCheck, poolRecord } from '#/control/site-form.ts'
import type { PoolRule } from '#/core/delivery-rules.ts'
import type { HealthCheck, Origin, OriginConnection, OriginPool } from '#/core/origin.ts'
import type { Sealed } from '#/core/snapshot.ts'
import { badRequest } from './errors.ts'
import type { Resolve } from './translate.ts'
import { every, flagOf, numberOf, textOf } from './translate-fields.ts'

type CheckOf = (name: string) => HealthCheck | undefined

/** Does a sealed key belong to a certificate? */
export type KeyFits = (certificate: string, key: Sealed) => boolean

export interface PoolParts {
  readonly resolve: Resolve
  readonly checkOf: CheckOf
  readonly keyFits: KeyFits
  readonly directors: readonly { readonly part: ServicePart; readonly members: readonly string[] }[]
}

/**
 * A director stands where its backends stood. One pool for each director or backend with a condition; one for those without: the
 * first director, else all backends that share the load (`auto_loadbalance`), else the first. What nothing chooses stays out.
 */
export function translatePools(backends: readonly ServicePart[], parts: PoolParts): PoolRule[] {
  const { resolve, checkOf } = parts
  for (const part of backends) checkClientKey(part, parts.keyFits)
  const directed = new Set(parts.directors.flatMap(({ members }) => members))
  const directors = parts.directors.map((one) => directorRule(one, backends, parts))
  const chosen: { readonly rule: PoolRule; readonly at: number }[] = []
  const open: ServicePart[] = []
  for (const [at, part] of backends.entries()) {
    if (directed.has(part.name)) continue
    const when = every(resolve(textOf(part, 'request_condition'), 'request', part))
    if (when.when === undefined) open.push(part)
    else
      chosen.push({
        rule: { name: part.name, pool: { ...poolOf([translateBackend(part, checkOf)]), ...shieldOf([part]) }, ...when },
        at,
      })
  }
  for (const one of directors) if (one.rule.when !== undefined) chosen.push(one)
  const rules = chosen.sort((one, other) => one.at - other.at).map(({ rule }) => rule)
  const director = directors.find(({ rule }) => rule.when === undefined)
  if (director !== undefined) return [...rules, director.rule]
  const sharing = open.filter((part) => flagOf(part, 'auto_loadbalance'))
  const usual = sharing.length > 0 ? sharing : open.slice(0, 1)
  if (usual.length === 0) return rules
  return [
    ...rules,
    { name: 'usual', pool: { ...poolOf(usual.map((part) => translateBackend(part, checkOf))), ...shieldOf(usual) } },
  ]
}

/** `at`: where its first backend stands among all, by which those with conditions are ordered. */
function directorRule(
  { part, members }: PoolParts['directors'][number],
  backends: readonly ServicePart[],
  { resolve, checkOf }: PoolParts,
): { readonly rule: PoolRule; readonly at: number } {
  const bad = (why: string) => badRequest(`Director '${part.name}': ${why}.`)
  const { choice, quorum } = translateDirector(part)
  const found = backends.filter(({ name }) => members.includes(name))
  if (found.length === 0) throw bad('it has no backends')
  const conditions = new Set(found.map((one) => textOf(one, 'request_condition')))
  if (conditions.size > 1) throw bad('its backends have different conditions')
  const when = every(resolve([...conditions][0], 'request', found[0]!))
  const origins = found.map((one) => translateBackend(one, checkOf))
  const pool = { origins, choice, ...(quorum !== undefined && { quorum }), ...shieldOf(found) }
  return { rule: { name: part.name, pool, ...when }, at: backends.indexOf(found[0]!) }
}

const choices: Readonly<Record<number, OriginPool['choice']>> = { 1: 'weighted-random', 3: 'hash', 4: 'client-hash' }

/** Throws a `FastlyError` for a type or quorum that is not supported. */
export function translateDirector(part: ServicePart): Pick<OriginPool, 'choice' | 'quorum'> {
  const type = numberOf(part, 'type') ?? 1
  const choice = choices[type]
  if (choice === undefined)
    throw badRequest(
      `Director '${part.name}': the type ${type} is not supported; 1 (random), 3 (hash) and 4 (client) are.`,
    )
  const quorum = numberOf(part, 'quorum') ?? 75
  if (quorum > 100) throw badRequest(`Director '${part.name}': the quorum is a percentage, 0 to 100.`)
  return quorum === 0 ? { choice } : { choice, quorum }
}

/** Throws a `FastlyError` for a key without its certificate, or the other way round. */
export function checkClientKey(part: ServicePart, keyFits: KeyFits): void {
  const [certificate, key] = [textOf(part, 'ssl_client_cert'), textOf(part, 'ssl_client_key')]
  const bad = (why: string) => badRequest(`Backend '${part.name}': ${why}.`)
  if (certificate !== undefined && key === undefined) throw bad('ssl_client_cert needs ssl_client_key')
  if (certificate === undefined && key !== undefined) throw bad('ssl_client_key needs ssl_client_cert')
  if (certificate !== undefined && !keyFits(certificate, key!))
    throw bad('the ssl_client_key does not belong to the ssl_client_cert')
}

const poolOf = (origins: readonly Origin[]): OriginPool => ({ origins, choice: 'weighted-random' })

/** Backends of which one is chosen lie behind one shield: which of them answers is decided there. */
function shieldOf(parts: readonly ServicePart[]): Pick<OriginPool, 'shield'> {
  const [first, ...others] = parts
  const shield = textOf(first!, 'shield')
  const other = others.find((part) => textOf(part, 'shield') !== shield)
  if (other !== undefined)
    throw badRequest(
      `Backends '${first!.name}' and '${other.name}' share requests, but not their shield: '${shield ?? ''}' and '${textOf(other, 'shield') ?? ''}'.`,
    )
  return given('shield', shield)
}

export function translateBackend(part: ServicePart, checkOf: CheckOf): Origin {
  const bad = (why: string) => badRequest(`Backend '${part.name}': ${why}.`)
  const address = textOf(part, 'address') ?? ''
  const port = numberOf(part, 'port') ?? 80
  // The CLI names no protocol when it makes a backend: the port of HTTPS stands for it until use_ssl is set.
  const overTls = typeof part.fields.use_ssl === 'boolean' ? part.fields.use_ssl : port === 443
  const host = ipaddr.IPv6.isValid(address) ? `[${address}]` : address.toLowerCase()
  if (!/^([a-z0-9._-]+|\[[0-9a-f:.]+\])$/.test(host)) throw bad(`'${address.slice(0, 100)}' is no host name or address`)
  const checkName = textOf(part, 'healthcheck')
  const origin = {
    name: part.name,
    url: `${overTls ? 'https' : 'http'}://${host}:${port}`,
    weight: numberOf(part, 'weight') ?? 100,
    ...given('overrideHost', textOf(part, 'override_host')),
    ...given('connectTimeoutMs', numberOf(part, 'connect_timeout')),
    ...given('firstByteTimeoutMs', numberOf(part, 'first_byte_timeout')),
    ...given('betweenBytesTimeoutMs', numberOf(part, 'between_bytes_timeout')),
    ...given('maxConnections', numberOf(part, 'max_conn')),
    ...given('maxUse', numberOf(part, 'max_use') || undefined),
    ...given('keepAliveMs', (numberOf(part, 'keepalive_time') ?? 0) * 1000 || undefined),
    ...given('tcpKeepAlive', tcpKeepAliveOf(part)),
    ...given('maxLifetimeMs', numberOf(part, 'max_lifetime') || undefined),
    ...(overTls && tlsOf(part)),
    ...given('healthCheck', checkName === undefined ? undefined : checkOf(checkName)),
  }
  const read = poolRecord.safeParse(poolOf([origin as Origin]))
  if (!read.success) throw bad(firstIssue(read.error))
  return read.data.origins[0] as Origin
}

/** Seconds; Fastly's defaults for what is not given. */
function tcpKeepAliveOf(part: ServicePart): OriginConnection['tcpKeepAlive'] {
  if (part.fields.tcp_keepalive_enable === false) return false
  const [idle, interval, probes] = ['time', 'interval', 'probes'].map(
    (field) => numberOf(part, `tcp_keepalive_${field}`) || undefined,
  )
  if (part.fields.tcp_keepalive_enable !== true && (idle ?? interval ?? probes) === undefined) return undefined
  return { idleMs: (idle ?? 300) * 1000, intervalMs: (interval ?? 10) * 1000, probes: probes ?? 3 }
}

/** Fastly's `ssl_hostname` is the old name for both. */
function tlsOf(part: ServicePart): object {
  const old = textOf(part, 'ssl_hostname')
  return {
    ...given('sniHostname', textOf(part, 'ssl_sni_hostname') ?? old),
    ...given('certificateHostname', textOf(part, 'ssl_cert_hostname') ?? old),
    ...(part.fields.ssl_check_cert === false && { checkCertificate: false }),
    ...given('caCertificate', textOf(part, 'ssl_ca_cert')),
    ...given('clientCertificate', textOf(part, 'ssl_client_cert')),
    ...given('clientKey', textOf(part, 'ssl_client_key')),
    ...given('ciphers', textOf(part, 'ssl_ciphers')),
    ...given('minTlsVersion', textOf(part, 'min_tls_version')),
    ...given('maxTlsVersion', textOf(part, 'max_tls_version')),
  }
}

export function translateCheck(part: ServicePart): HealthCheck {
  const window = numberOf(part, 'window') ?? 2
  const read = healthCheck.safeParse({
    method: (textOf(part, 'method') ?? 'HEAD').toUpperCase(),
    path: textOf(part, 'path') ?? '/',
    ...given('host', textOf(part, 'host')),
    expectedStatus: numberOf(part, 'expected_response') ?? 200,
    timeoutMs: numberOf(part, 'timeout') ?? 5000,
    intervalMs: numberOf(part, 'check_interval') ?? 60_000,
    window,
    threshold: numberOf(part, 'threshold') ?? 1,
    initial: Math.min(window, numberOf(part, 'initial') ?? 1),
  })
  if (!read.success) throw badRequest(`Health check '${part.name}': ${firstIssue(read.error)}.`)
  return read.data as HealthCheck
}

function given<Name extends string, Value>(name: Name, value: Value | undefined): { readonly [N in Name]?: Value } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [N in Name]?: Value }
}

/** In our words: the field's name there, and what is wrong with it. */
function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0]!
  const field = issue.path.findLast((step) => typeof step === 'string') ?? 'it'
  return `${String(field)}: ${issue.message}`
}
