/** Log endpoints of programs. https://www.fastly.com/documentation/reference/api/logging/ */
import type { ServicePart } from '#/control/services/service-records.ts'
import type { LogEndpoint } from '#/core/compute.ts'
import { badRequest } from './errors.ts'
import { flagOf, numberOf, textOf } from './translate-fields.ts'

/** Throws a `FastlyError` that names the endpoint. */
export function translateLog(part: ServicePart): LogEndpoint {
  return part.kind === 'logging/https' ? httpLog(part) : syslog(part)
}

function httpLog(part: ServicePart): LogEndpoint {
  const { name } = part
  const url = textOf(part, 'url') ?? ''
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol) || new URL(url).username !== '')
    throw badRequest(`Log endpoint '${name}': '${url.slice(0, 100)}' is no URL of http or https.`)
  const method = textOf(part, 'method') ?? 'POST'
  if (method !== 'POST' && method !== 'PUT')
    throw badRequest(`Log endpoint '${name}': the method is POST or PUT, not '${method.slice(0, 20)}'.`)
  const contentType = textOf(part, 'content_type')
  const field = textOf(part, 'header_name')
  if (field !== undefined && !/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}$/.test(field))
    throw badRequest(`Log endpoint '${name}': '${field.slice(0, 60)}' is no name of a header field.`)
  const value = textOf(part, 'header_value') ?? ''
  for (const text of [contentType ?? '', value])
    if (!/^[\t\x20-\x7e]{0,2000}$/.test(text))
      throw badRequest(`Log endpoint '${name}': a header field's value has characters that none can have.`)
  return {
    kind: 'http',
    name,
    url,
    method,
    ...(contentType !== undefined && { contentType }),
    ...(field !== undefined && { header: [field, value] as const }),
  }
}

function syslog(part: ServicePart): LogEndpoint {
  const { name } = part
  const host = textOf(part, 'address') ?? textOf(part, 'hostname') ?? ''
  if (!/^[A-Za-z0-9._:-]{1,255}$/.test(host))
    throw badRequest(`Log endpoint '${name}': '${host.slice(0, 100)}' is no host name or address.`)
  const tls = flagOf(part, 'use_tls')
  const port = numberOf(part, 'port') ?? 514
  if (port < 1 || port > 65_535) throw badRequest(`Log endpoint '${name}': ${port} is no port.`)
  return { kind: 'syslog', name, host, port, tls }
}
