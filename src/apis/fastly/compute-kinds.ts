/** What versions of Compute services hold, as tables of fields; the rest is refused by name. */
import { type Field, type PartKind, partKinds, refusedKinds } from './part-kinds.ts'
import type { PartSet } from './parts.ts'

const text = (otherwise: string | null = ''): Field => ({ type: 'text', otherwise })
const only = (type: Field['type'], otherwise: Field['otherwise'], ...accepted: string[]): Field => ({
  type,
  otherwise,
  only: ['', ...accepted],
})

/** A program writes whole lines, so formats and the like have nothing to act on; they are kept where they say nothing else. */
const common = {
  format: text('%h %l %u %t "%r" %>s %b'),
  format_version: only('number', 2, '2'),
  placement: only('text', null, 'none', 'null'),
  response_condition: only('text', ''),
  processing_region: only('text', 'none', 'none'),
}

const https: PartKind = {
  path: 'logging/https',
  label: 'log endpoint',
  fields: {
    ...common,
    url: text(),
    method: text('POST'),
    content_type: text(null),
    header_name: text(null),
    header_value: text(null),
    message_type: only('text', 'blank', 'blank'),
    json_format: only('text', '0', '0'),
    request_max_entries: { type: 'number', otherwise: 0 },
    request_max_bytes: { type: 'number', otherwise: 0 },
    period: { type: 'number', otherwise: 5 },
    compression_codec: only('text', null),
    gzip_level: only('number', 0, '0'),
    tls_ca_cert: only('text', null),
    tls_client_cert: only('text', null),
    tls_client_key: only('text', null),
    tls_hostname: only('text', null),
  },
}

const syslog: PartKind = {
  path: 'logging/syslog',
  label: 'log endpoint',
  fields: {
    ...common,
    address: text(),
    hostname: text(null),
    ipv4: only('text', null),
    port: { type: 'number', otherwise: 514 },
    use_tls: { type: 'flag', otherwise: false },
    message_type: only('text', 'blank', 'blank'),
    token: only('text', null),
    tls_ca_cert: only('text', null),
    tls_client_cert: only('text', null),
    tls_client_key: only('text', null),
    tls_hostname: only('text', null),
  },
}

const shared = ['domain', 'backend', 'healthcheck', 'dictionary']

/** Sentences begin with these. */
const notOfPrograms = Object.fromEntries(
  partKinds
    .filter(({ path }) => !shared.includes(path))
    .map(({ path, label }) => [path, `In Compute services a ${label} is`] as const),
)
const { logging: _logging, resource: _resource, ...others } = refusedKinds

export const computeParts: PartSet = {
  kinds: [...partKinds.filter(({ path }) => shared.includes(path)), https, syslog],
  refused: {
    ...others,
    ...notOfPrograms,
    settings: 'In Compute services settings of delivery are',
    'logging/:kind': 'Log endpoints of kinds other than https and syslog are',
  },
  documents: {},
}
