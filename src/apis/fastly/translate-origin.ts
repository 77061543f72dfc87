/** Backends and health checks as pools of origins. https://www.fastly.com/documentation/reference/api/services/backend/ */
import ipaddr from 'ipaddr.js'
import type { z } from 'zod'
import type { ServicePart } from '#/control/services/service-records.ts'
import { healthCheck, poolRecord } from '#/control/site-form.ts'
import type { PoolRule } from '#/core/delivery-rules.ts'
import type { HealthCheck, Origin, OriginPool } from '#/core/origin.ts'
import { badRequest } from './errors.ts'
import type { Resolve } from './translate.ts'
import { every, flagOf, numberOf, textOf } from './translate-fields.ts'

type CheckOf = (name: string) => HealthCheck | undefined

/**
 * One pool for each backend with a condition; one for those without: all that share the load (`auto_loadbalance`), else the
 * first. Backends that nothing chooses stay out.
 */
export function translatePools(backends: readonly ServicePart[], resolve: Resolve, checkOf: CheckOf): PoolRule[] {
  const chosen: PoolRule[] = []
  const open: ServicePart[] = []
  for (const part of backends) {
    const when = every(resolve(textOf(part, 'request_condition'), 'request', part))
    if (when.when === undefined) open.push(part)
    else chosen.push({ name: part.name, pool: poolOf([translateBackend(part, checkOf)]), ...when })
  }
  const sharing = open.filter((part) => flagOf(part, 'auto_loadbalance'))
  const usual = sharing.length > 0 ? sharing : open.slice(0, 1)
  if (usual.length === 0) return chosen
  return [...chosen, { name: 'usual', pool: poolOf(usual.map((part) => translateBackend(part, checkOf))) }]
}

const poolOf = (origins: readonly Origin[]): OriginPool => ({ origins, choice: 'weighted-random' })

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
    ...given('maxLifetimeMs', numberOf(part, 'max_lifetime') || undefined),
    ...(overTls && tlsOf(part)),
    ...given('healthCheck', checkName === undefined ? undefined : checkOf(checkName)),
  }
  const read = poolRecord.safeParse(poolOf([origin as Origin]))
  if (!read.success) throw bad(firstIssue(read.error))
  return read.data.origins[0] as Origin
}

/** Fastly's `ssl_hostname` is the old name for both. */
function tlsOf(part: ServicePart): object {
  const old = textOf(part, 'ssl_hostname')
  return {
    ...given('sniHostname', textOf(part, 'ssl_sni_hostname') ?? old),
    ...given('certificateHostname', textOf(part, 'ssl_cert_hostname') ?? old),
    ...(part.fields.ssl_check_cert === false && { checkCertificate: false }),
    ...given('caCertificate', textOf(part, 'ssl_ca_cert')),
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
