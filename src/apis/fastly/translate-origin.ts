/** Backends and health checks as origins. https://www.fastly.com/documentation/reference/api/services/backend/ */
import ipaddr from 'ipaddr.js'
import type { ServicePart } from '#/control/services/service-records.ts'
import type { HealthCheck, SiteOrigin } from '#/core/delivery-rules.ts'
import { badRequest } from './errors.ts'
import type { Resolve } from './translate.ts'
import { every, flagOf, numberOf, textOf } from './translate-fields.ts'

const hostName = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i

export function translateBackend(
  part: ServicePart,
  resolve: Resolve,
  checkOf: (name: string) => HealthCheck | undefined,
): SiteOrigin {
  const bad = (why: string) => badRequest(`Backend '${part.name}': ${why}.`)
  const address = textOf(part, 'address')
  if (address === undefined) throw bad('the address is missing')
  if (!ipaddr.isValid(address) && !hostName.test(address))
    throw bad(`'${address.slice(0, 100)}' is no host name or address`)
  const port = numberOf(part, 'port') ?? 80
  if (port < 1 || port > 65_535) throw bad('a port is 1 to 65535')
  // The CLI names no protocol when it makes a backend: the port of HTTPS stands for it until use_ssl is set.
  const overTls =
    part.fields.use_ssl === null || part.fields.use_ssl === undefined ? port === 443 : flagOf(part, 'use_ssl')
  const names = new Set(
    ['ssl_sni_hostname', 'ssl_cert_hostname', 'ssl_hostname']
      .map((field) => textOf(part, field))
      .filter((name) => name),
  )
  if (names.size > 1) throw bad('an SNI name other than the name in the certificate is not supported')
  const [serverName] = names
  const hostField = textOf(part, 'override_host')
  const weight = numberOf(part, 'weight') ?? 100
  if (weight < 1 || weight > 100) throw bad('a weight is 1 to 100')
  const checkName = textOf(part, 'healthcheck')
  const check = checkName === undefined ? undefined : checkOf(checkName)
  const host = ipaddr.IPv6.isValid(address) ? `[${address}]` : address.toLowerCase()
  return {
    name: part.name,
    url: `${overTls ? 'https' : 'http'}://${host}:${port}`,
    ...(hostField !== undefined && { hostField }),
    ...(overTls && serverName !== undefined && { tls: { serverName } }),
    connectMs: numberOf(part, 'connect_timeout') ?? 1000,
    firstByteMs: numberOf(part, 'first_byte_timeout') ?? 15_000,
    betweenBytesMs: numberOf(part, 'between_bytes_timeout') ?? 10_000,
    sharesLoad: flagOf(part, 'auto_loadbalance'),
    weight,
    ...(check !== undefined && { check }),
    ...every(resolve(textOf(part, 'request_condition'), 'request', part)),
  }
}

export function translateCheck(part: ServicePart): HealthCheck {
  const bad = (why: string) => badRequest(`Health check '${part.name}': ${why}.`)
  const path = textOf(part, 'path') ?? '/'
  if (!/^\/[\x21-\x7e]*$/.test(path)) throw bad('a path starts with / and holds no blanks')
  const method = (textOf(part, 'method') ?? 'HEAD').toUpperCase()
  if (!['GET', 'HEAD', 'OPTIONS', 'POST'].includes(method))
    throw bad(`the method '${method.slice(0, 20)}' is not supported`)
  const window = numberOf(part, 'window') ?? 5
  const threshold = numberOf(part, 'threshold') ?? 3
  if (threshold > window || window < 1 || window > 64) throw bad('threshold <= window <= 64 must hold')
  return {
    method,
    host: textOf(part, 'host') ?? '',
    path,
    status: numberOf(part, 'expected_response') ?? 200,
    everyMs: Math.max(1000, numberOf(part, 'check_interval') ?? 60_000),
    timeoutMs: numberOf(part, 'timeout') ?? 5000,
    window,
    threshold,
    initial: Math.min(window, numberOf(part, 'initial') ?? 2),
  }
}
