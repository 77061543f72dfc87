/**
 * What a version can hold, as tables of fields. A field with `only` is one that this platform does not act on: it is accepted
 * where it says what is so anyway, and refused by name where it does not.
 * https://www.fastly.com/documentation/reference/api/
 */
import type { ServicePart } from '#/control/services/service-records.ts'

export type FieldValue = ServicePart['fields'][string]

export interface Field {
  readonly type: 'text' | 'number' | 'flag'
  readonly otherwise: FieldValue
  readonly only?: readonly string[]
  /** Kept sealed, and never shown: a private key. */
  readonly sealed?: true
}

export interface PartKind {
  /** In the path of its calls. */
  readonly path: string
  /** For messages. */
  readonly label: string
  readonly fields: Readonly<Record<string, Field>>
}

const text = (otherwise: string | null = ''): Field => ({ type: 'text', otherwise })
const number = (otherwise: number | null = null): Field => ({ type: 'number', otherwise })
const flag = (otherwise: boolean | null = false): Field => ({ type: 'flag', otherwise })
/** `accepted` beside the empty text. */
const only = (field: Field, ...accepted: string[]): Field => ({ ...field, only: ['', ...accepted] })

const comment = text()
const conditions = { request_condition: text(), cache_condition: text() }

const backend: PartKind = {
  path: 'backend',
  label: 'backend',
  fields: {
    comment,
    address: text(),
    port: number(80),
    use_ssl: flag(null),
    override_host: text(null),
    ssl_check_cert: flag(true),
    ssl_hostname: text(null),
    ssl_cert_hostname: text(null),
    ssl_sni_hostname: text(null),
    ssl_ca_cert: text(null),
    ssl_client_cert: text(null),
    ssl_client_key: { ...text(null), sealed: true },
    ssl_ciphers: text(null),
    client_cert: only(text(null)),
    min_tls_version: text(null),
    max_tls_version: text(null),
    connect_timeout: number(1000),
    first_byte_timeout: number(15_000),
    between_bytes_timeout: number(10_000),
    fetch_timeout: only(number(0), '0'),
    error_threshold: only(number(0), '0'),
    max_conn: number(200),
    max_use: number(0),
    max_lifetime: number(0),
    keepalive_time: number(null),
    tcp_keepalive_enable: flag(null),
    tcp_keepalive_interval: number(null),
    tcp_keepalive_probes: number(null),
    tcp_keepalive_time: number(null),
    prefer_ipv6: only(flag(false), '0'),
    weight: number(100),
    auto_loadbalance: flag(false),
    healthcheck: text(null),
    request_condition: text(),
    shield: text(null),
    share_key: only(text(null)),
  },
}

const director: PartKind = {
  path: 'director',
  label: 'director',
  fields: {
    comment,
    type: number(1),
    quorum: number(75),
    /** How often others are tried is the platform's (`originRetries`). */
    retries: only(number(5), '5'),
    capacity: only(number(null), '0', '100'),
    shield: only(text(null)),
  },
}

const healthcheck: PartKind = {
  path: 'healthcheck',
  label: 'health check',
  fields: {
    comment,
    method: text('HEAD'),
    host: text(),
    path: text('/'),
    http_version: only(text('1.1'), '1.1'),
    headers: only(text(null), '[]'),
    timeout: number(5000),
    check_interval: number(60_000),
    expected_response: number(200),
    window: number(2),
    threshold: number(1),
    initial: number(1),
  },
}

const header: PartKind = {
  path: 'header',
  label: 'header rule',
  fields: {
    action: text('set'),
    type: text('request'),
    dst: text(),
    src: text(null),
    regex: text(null),
    substitution: text(null),
    ignore_if_set: flag(false),
    priority: number(100),
    ...conditions,
    response_condition: text(),
  },
}

const condition: PartKind = {
  path: 'condition',
  label: 'condition',
  fields: { comment, statement: text(), type: text('REQUEST'), priority: number(100) },
}

const requestSettings: PartKind = {
  path: 'request_settings',
  label: 'request settings',
  fields: {
    action: text(null),
    force_miss: flag(false),
    force_ssl: flag(false),
    default_host: text(null),
    hash_keys: text(null),
    xff: text('append'),
    bypass_busy_wait: only(flag(false), '0'),
    max_stale_age: only(number(null), '0'),
    timer_support: only(flag(false), '0'),
    geo_headers: only(flag(false), '0'),
    request_condition: text(),
  },
}

const cacheSettings: PartKind = {
  path: 'cache_settings',
  label: 'cache settings',
  fields: { action: text(null), ttl: number(), stale_ttl: number(), cache_condition: text() },
}

const responseObject: PartKind = {
  path: 'response_object',
  label: 'response object',
  fields: { status: number(200), response: text('OK'), content: text(), content_type: text(null), ...conditions },
}

const gzip: PartKind = {
  path: 'gzip',
  label: 'gzip configuration',
  fields: { content_types: text(null), extensions: text(null), cache_condition: text() },
}

const domain: PartKind = { path: 'domain', label: 'domain', fields: { comment } }
const dictionary: PartKind = {
  path: 'dictionary',
  label: 'dictionary',
  fields: { id: text(), write_only: only(flag(false), '0') },
}
const acl: PartKind = { path: 'acl', label: 'ACL', fields: { id: text() } }

/** One of these a version, without a name. */
export const settings: PartKind = {
  path: 'settings',
  label: 'settings',
  fields: {
    'general.default_host': text(''),
    'general.default_ttl': number(3600),
    'general.default_pci': only(flag(false), '0'),
    'general.stale_if_error': flag(false),
    'general.stale_if_error_ttl': number(43_200),
  },
}

export const partKinds: readonly PartKind[] = [
  domain,
  backend,
  director,
  healthcheck,
  header,
  condition,
  requestSettings,
  cacheSettings,
  responseObject,
  gzip,
  dictionary,
  acl,
]

/** Things of a version that are not here; there are none of them, and none can be made. */
export const refusedKinds: Readonly<Record<string, string>> = {
  vcl: 'Custom VCL is',
  snippet: 'VCL snippets are',
  'rate-limiters': 'Rate limiters are',
  apex_redirects: 'Apex redirects are',
  resource: 'Resource links are',
  wordpress: 'WordPress configuration is',
  http3: 'HTTP/3 is',
  logging: 'Log endpoints are',
}

/** What a version has exactly one of, elsewhere; asking for it is refused too. */
export const refusedDocuments: Readonly<Record<string, string>> = {
  package: 'Compute packages are',
  generated_vcl: 'Generated VCL is',
  boilerplate: 'Boilerplate VCL is',
}
