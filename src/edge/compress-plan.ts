/**
 * Decides how the bytes of an answer are coded for a client: left alone, compressed, decoded or both.
 */
import type { HeaderList } from '#/core/exchange.ts'
import type { Bytes } from '#/core/units.ts'
import { type AcceptedCodings, acceptsCoding, acceptsPlain, type Coding, chooseCoding } from '#/http/accept-encoding.ts'

export type CodingPlan =
  /** `vary`: other clients get other bytes, so `Vary: Accept-Encoding` belongs on it. */
  | { readonly kind: 'leave'; readonly why: LeaveReason; readonly vary: boolean }
  | { readonly kind: 'code'; readonly decode: Coding | undefined; readonly encode: Coding | undefined }

export type LeaveReason =
  | 'status'
  | 'type'
  | 'small'
  | 'no-body'
  | 'no-transform'
  | 'digest'
  | 'coded'
  | 'unknown-coding'
  | 'not-accepted'

export interface PlanFacts {
  readonly method: string
  readonly status: number
  readonly headers: HeaderList
  /** Bytes of a body that is all there; undefined for a stream. */
  readonly bodyBytes: Bytes | undefined
  readonly accepted: AcceptedCodings
  readonly requestHeaders: HeaderList
  /** What the site's own rules say, instead of the usual types and statuses; undefined: nothing. */
  readonly mayCompress?: boolean | undefined
  /** Shorter bodies are left alone. */
  readonly minimumBytes: Bytes
}

const leave = (why: LeaveReason, vary = false): CodingPlan => ({ kind: 'leave', why, vary })
const left = {
  status: leave('status'),
  type: leave('type'),
  small: leave('small'),
  noBody: leave('no-body'),
  noTransform: leave('no-transform'),
  digest: leave('digest'),
  coded: leave('coded'),
  unknownCoding: leave('unknown-coding'),
  notAccepted: leave('not-accepted', true),
}

/** Parts, and answers that have no content of their own (RFC 9110 §15). */
const neverCoded: ReadonlySet<number> = new Set([204, 205, 206, 304, 416])

/** What is compressed on the fly: developers.cloudflare.com/speed/optimization/content/compression. */
const compressedStatuses: ReadonlySet<number> = new Set([200, 403, 404])
const compressedTypes: ReadonlySet<string> = new Set(
  `text/html text/richtext text/plain text/css text/csv text/x-script text/x-component text/x-java-source
   text/x-markdown text/markdown text/javascript text/js text/xml text/vtt text/calendar image/x-icon
   image/vnd.microsoft.icon image/svg+xml image/bmp application/javascript application/x-javascript
   application/x-perl application/x-httpd-cgi application/xml application/rss+xml application/atom+xml
   application/vnd.api+json application/x-protobuf application/json application/ld+json application/graphql+json
   application/geo+json application/manifest+json application/problem+json application/xhtml+xml application/wasm
   application/vnd.ms-fontobject application/ttf application/x-ttf application/otf application/x-otf
   application/truetype application/opentype application/x-opentype application/font-woff application/eot
   application/font application/font-sfnt application/javascript-binast application/x-ndjson multipart/bag
   multipart/mixed font/ttf font/otf font/x-woff`.split(/\s+/),
)

/** Fields of an answer that speak about its coding. */
interface AnswerFields {
  type: string | undefined
  coding: string | undefined
  length: number | undefined
  noTransform: boolean
  digest: boolean
}

/** One pass, and no name is compared before its length fits. */
function readFields(headers: HeaderList): AnswerFields {
  const fields: AnswerFields = {
    type: undefined,
    coding: undefined,
    length: undefined,
    noTransform: false,
    digest: false,
  }
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    switch (name.length) {
      case 6:
        if (name.toLowerCase() === 'digest') fields.digest = true
        break
      case 11:
        if (name.toLowerCase() === 'content-md5') fields.digest = true
        break
      case 12:
        if (name.toLowerCase() === 'content-type') fields.type ??= headers[index + 1]!
        break
      case 13:
        if (name.toLowerCase() === 'cache-control') fields.noTransform ||= forbidsTransform(headers[index + 1]!)
        break
      case 14:
        if (name.toLowerCase() === 'content-length') fields.length = Number(headers[index + 1])
        else if (name.toLowerCase() === 'content-digest') fields.digest = true
        break
      case 16:
        if (name.toLowerCase() === 'content-encoding')
          fields.coding = fields.coding === undefined ? headers[index + 1]! : `${fields.coding}, ${headers[index + 1]}`
        break
    }
  }
  return fields
}

/** RFC 9111 §5.2.2.6, and §5.2.1.6 for requests. */
function forbidsTransform(cacheControl: string): boolean {
  return /(?:^|,)\s*no-transform\s*(?:,|$)/i.test(cacheControl)
}

function requestForbids(headers: HeaderList): boolean {
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    if (name.length === 13 && name.toLowerCase() === 'cache-control' && forbidsTransform(headers[index + 1]!))
      return true
  }
  return false
}

export function planCoding(facts: PlanFacts): CodingPlan {
  const { method, status, accepted } = facts
  if (status < 200 || neverCoded.has(status)) return left.status
  const fields = readFields(facts.headers)
  if (fields.coding !== undefined && !/^\s*(?:identity)?\s*$/i.test(fields.coding)) return planCoded(facts, fields)
  if (facts.mayCompress === undefined && !compressedStatuses.has(status)) return left.status
  if (!(facts.mayCompress ?? isCompressedType(fields.type))) return left.type
  if (facts.bodyBytes === 0 && method !== 'HEAD') return left.noBody
  const bytes = method === 'HEAD' ? fields.length : (facts.bodyBytes ?? fields.length)
  if (bytes !== undefined && bytes < facts.minimumBytes && acceptsPlain(accepted)) return left.small
  if (fields.noTransform || requestForbids(facts.requestHeaders)) return left.noTransform
  if (fields.digest) return left.digest
  const coding = chooseCoding(accepted)
  return coding === 'identity' ? left.notAccepted : { kind: 'code', decode: undefined, encode: coding }
}

/** An answer that comes coded passes to whoever accepts its coding, and is decoded for the others. */
function planCoded(facts: PlanFacts, fields: AnswerFields): CodingPlan {
  const { accepted, status } = facts
  const decode = knownCoding(fields.coding!)
  if (decode === undefined) return left.unknownCoding
  if (acceptsCoding(accepted, decode)) return left.coded
  if (facts.bodyBytes === 0 && facts.method !== 'HEAD') return left.noBody
  if (fields.noTransform || requestForbids(facts.requestHeaders)) return left.noTransform
  if (fields.digest) return left.digest
  const compressible = facts.mayCompress ?? (compressedStatuses.has(status) && isCompressedType(fields.type))
  const coding = compressible ? chooseCoding(accepted) : 'identity'
  return { kind: 'code', decode, encode: coding === 'identity' ? undefined : coding }
}

function knownCoding(field: string): Coding | undefined {
  const name = field.trim().toLowerCase()
  if (name === 'gzip' || name === 'x-gzip') return 'gzip'
  return name === 'br' || name === 'zstd' ? name : undefined
}

function isCompressedType(type: string | undefined): boolean {
  if (type === undefined) return false
  const end = type.indexOf(';')
  return compressedTypes.has((end === -1 ? type : type.slice(0, end)).trim().toLowerCase())
}

/**
 * The head after coding: `encode` names the coding it has now, `undefined` none. A strong entity tag becomes weak
 * (RFC 9110 §8.8.1: the bytes are others), the length is not known, parts are not offered.
 */
export function codedHeaders(headers: HeaderList, encode: Coding | undefined): HeaderList {
  const list: HeaderList = []
  let varies = false
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    const value = headers[index + 1]!
    switch (name.toLowerCase()) {
      case 'content-encoding':
      case 'content-length':
      case 'accept-ranges':
        continue
      case 'etag':
        list.push(name, value.startsWith('"') ? `W/${value}` : value)
        continue
      case 'vary':
        varies ||= namesAcceptEncoding(value)
    }
    list.push(name, value)
  }
  if (encode !== undefined) list.push('content-encoding', encode)
  if (!varies) list.push('vary', 'accept-encoding')
  return list
}

/** A new list with `Vary: Accept-Encoding`, or the same one where that is said. */
export function varyingHeaders(headers: HeaderList): HeaderList {
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    if (name.length === 4 && name.toLowerCase() === 'vary' && namesAcceptEncoding(headers[index + 1]!)) return headers
  }
  return [...headers, 'vary', 'accept-encoding']
}

function namesAcceptEncoding(vary: string): boolean {
  return /(?:^|,)\s*(?:accept-encoding|\*)\s*(?:,|$)/i.test(vary)
}
