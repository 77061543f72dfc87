/** What an expression may ask of a request: https://developers.cloudflare.com/ruleset-engine/rules-language/fields/reference/ */
import type { Type } from './syntax.ts'

/** Type of each field. Absent header fields are empty texts; absent members of maps have no value at all. */
export const fieldTypes = {
  'http.host': 'Bytes',
  'http.cookie': 'Bytes',
  'http.referer': 'Bytes',
  'http.user_agent': 'Bytes',
  'http.x_forwarded_for': 'Bytes',
  'http.request.method': 'Bytes',
  'http.request.version': 'Bytes',
  'http.request.full_uri': 'Bytes',
  'http.request.uri': 'Bytes',
  'http.request.uri.path': 'Bytes',
  'http.request.uri.path.extension': 'Bytes',
  'http.request.uri.query': 'Bytes',
  'http.request.uri.args': 'Map<Array<Bytes>>',
  'http.request.uri.args.names': 'Array<Bytes>',
  'http.request.uri.args.values': 'Array<Bytes>',
  'http.request.headers': 'Map<Array<Bytes>>',
  'http.request.headers.names': 'Array<Bytes>',
  'http.request.headers.values': 'Array<Bytes>',
  'http.request.cookies': 'Map<Array<Bytes>>',
  'ip.src': 'Ip',
  'ip.src.country': 'Bytes',
  ssl: 'Bool',
} as const satisfies Record<string, Type>

export type FieldName = keyof typeof fieldTypes

/** Other names of the same. */
const aliases: Readonly<Record<string, FieldName>> = {
  'ip.geoip.country': 'ip.src.country',
  'raw.http.request.full_uri': 'http.request.full_uri',
  'raw.http.request.uri': 'http.request.uri',
  'raw.http.request.uri.path': 'http.request.uri.path',
  'raw.http.request.uri.path.extension': 'http.request.uri.path.extension',
  'raw.http.request.uri.query': 'http.request.uri.query',
}

export function findField(name: string): FieldName | undefined {
  if (Object.hasOwn(fieldTypes, name)) return name as FieldName
  return Object.hasOwn(aliases, name) ? aliases[name] : undefined
}
