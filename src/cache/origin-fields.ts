/** What the origin is asked where the answer may be kept for others than the one who asks. */
import type { HeaderList } from '#/core/exchange.ts'
import { poisonNames } from '#/http/poison-names.ts'
import { addressesOnly, loopWithoutHosts, viaWithoutNames } from './client-fields.ts'
import type { StoredPolicy } from './may-store.ts'
import { conditionalNames } from './preconditions.ts'
import { normalEncodings } from './vary-key.ts'

export interface OriginFieldsOptions {
  /** Fields on which the site keys pass although they are known to poison. */
  readonly keyed: readonly string[] | undefined
  /** Fields that the site's rules write, so that they are not the client's. */
  readonly written?: readonly string[] | undefined
  /** The request of a site's client, not of a program. */
  readonly fromClient: boolean
  /** Validate this (RFC 9111 §4.3.1). */
  readonly validate: Pick<StoredPolicy, 'etag' | 'lastModified'> | undefined
  /** Ask for this range instead of the client's; null for none. */
  readonly range?: { readonly field: string; readonly ifRange: string } | null
}

/**
 * The client's own conditions are left out, so that a miss fetches what can be stored; `Accept-Encoding` becomes the
 * text that the key has. A client's fields that poison caches are left out (see `poisonNames`).
 */
export function originFields(headers: HeaderList, options: OriginFieldsOptions): HeaderList {
  const list: HeaderList = []
  const dropRange = options.range !== undefined
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    if (conditionalNames.has(name)) continue
    if (dropRange && (name === 'range' || name === 'if-range')) continue
    const value = name === 'accept-encoding' ? normalEncodings(headers[index + 1]!) : headers[index + 1]!
    const { fromClient, keyed, written } = options
    const isOwn = !fromClient || keyed?.includes(name) === true || written?.includes(name) === true
    const sent = isOwn ? value : harmless(name, value)
    if (sent !== undefined) list.push(headers[index]!, sent)
  }
  if (options.range) list.push('range', options.range.field, 'if-range', options.range.ifRange)
  const { validate } = options
  if (validate?.etag !== undefined) list.push('if-none-match', validate.etag)
  if (validate?.lastModified !== undefined) list.push('if-modified-since', validate.lastModified)
  return list
}

/** What the edge itself says of a client: programs of the CGI tradition take `_` in a name for `-`. */
const saidByEdge: ReadonlySet<string> = new Set([
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-for',
  'x-real-ip',
  'true-client-ip',
  'fastly-client-ip',
  'cf-connecting-ip',
  'cdn-loop',
])

/** Undefined where a client's field must not reach the origin of a shared answer. */
function harmless(name: string, value: string): string | undefined {
  switch (name) {
    case 'x-forwarded-for':
      return addressesOnly(value)
    case 'via':
      return viaWithoutNames(value)
    case 'cdn-loop':
      return loopWithoutHosts(value)
  }
  const dashed = name.includes('_') ? name.replaceAll('_', '-') : name
  return poisonNames.has(dashed) || (dashed !== name && saidByEdge.has(dashed)) ? undefined : value
}
