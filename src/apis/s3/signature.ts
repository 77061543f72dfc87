/** AWS Signature Version 4, as S3 uses it: what is signed and with what. Pure. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

export const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex')
const hmac = (key: string | Uint8Array, text: string) => createHmac('sha256', key).update(text).digest()

/** RFC 3986 unreserved characters stay; `/` too, where it separates. */
export function awsEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

export interface SignedRequest {
  readonly method: string
  /** Decoded, with its `/`. */
  readonly path: string
  /** Decoded, without the signature itself. */
  readonly query: readonly (readonly [name: string, value: string])[]
  /** Lower-case names, values as they came. */
  readonly header: (name: string) => string | undefined
  readonly signedHeaders: readonly string[]
  /** `x-amz-content-sha256`, or `UNSIGNED-PAYLOAD`. */
  readonly payload: string
}

export function canonicalRequest({ method, path, query, header, signedHeaders, payload }: SignedRequest): string {
  const parameters = query.map(([name, value]) => [awsEncode(name), awsEncode(value)] as const)
  parameters.sort(([a, b], [c, d]) => (a === c ? compare(b, d) : compare(a, c)))
  return [
    method,
    path.split('/').map(awsEncode).join('/'),
    parameters.map(([name, value]) => `${name}=${value}`).join('&'),
    ...signedHeaders.map((name) => `${name}:${(header(name) ?? '').trim().replace(/ +/g, ' ')}`),
    '',
    signedHeaders.join(';'),
    payload,
  ].join('\n')
}

const compare = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0)

/** `DAY/REGION/s3/aws4_request`. */
export interface Scope {
  readonly day: string
  readonly region: string
  readonly service: string
}

export const scopeText = ({ day, region, service }: Scope) => `${day}/${region}/${service}/aws4_request`

export function signingKey(secret: string, { day, region, service }: Scope): Uint8Array {
  return hmac(hmac(hmac(hmac(`AWS4${secret}`, day), region), service), 'aws4_request')
}

/** Of whatever: a request, a chunk, trailers; `kind` is the first line. */
export function sign(key: Uint8Array, kind: string, time: string, scope: Scope, rest: string): string {
  return hmac(key, `${kind}\n${time}\n${scopeText(scope)}\n${rest}`).toString('hex')
}

export function sameSignature(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** `20261123T150000Z` as a time; NaN where it is none. */
export function amzTime(text: string): number {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (parts === null) return Number.NaN
  const [, year, month, day, hour, minute, second] = parts
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}
