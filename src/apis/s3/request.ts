/**
 * A request of the S3 API, path style: `/s3`, `/s3/BUCKET`, `/s3/BUCKET/KEY`; buckets of a jurisdiction below `/s3-eu`, or at a
 * host as R2's, `ACCOUNT.eu.r2.DOMAIN`.
 */
import type { IncomingMessage } from 'node:http'
import { invalid } from './trouble.ts'

/** Where the API begins. */
export const s3Root = '/s3'

export interface S3Request {
  readonly method: string
  /** Decoded, from the root of the server. */
  readonly path: string
  readonly bucket: string | undefined
  readonly key: string | undefined
  /** Decoded, in order. */
  readonly query: readonly (readonly [name: string, value: string])[]
  parameter(name: string): string | undefined
  /** Lower-case name; several fields of one name are joined by commas. */
  header(name: string): string | undefined
  /** Names and values of all fields, names in lower case. */
  readonly fields: ReadonlyMap<string, string>
  readonly incoming: IncomingMessage
}

/** As R2's own: `ACCOUNT.r2.DOMAIN`, `ACCOUNT.eu.r2.DOMAIN`; buckets then stand at the root. */
const ownHost = /^[\w-]+\.(?:(eu|fedramp)\.)?r2\./
const below = /^\/s3(?:-(eu|fedramp))?(?=[/?]|$)/

type Head = Pick<IncomingMessage, 'url' | 'headers'>

export const isS3 = ({ url = '', headers }: Head) => below.test(url) || ownHost.test(headers.host ?? '')

export type S3Jurisdiction = 'eu' | 'fedramp'

/** Whose buckets a request means; undefined: those without a jurisdiction. */
export function jurisdictionOf({ url = '', headers }: Head): S3Jurisdiction | undefined {
  return (below.exec(url)?.[1] ?? ownHost.exec(headers.host ?? '')?.[1]) as S3Jurisdiction | undefined
}

/** Throws an `S3Error` where the URL cannot be decoded. */
export function readRequest(incoming: IncomingMessage): S3Request {
  const { method = 'GET', url = '/' } = incoming
  const at = url.indexOf('?')
  const path = decode(at === -1 ? url : url.slice(0, at))
  const [, bucket, key] = /^\/?([^/]*)(?:\/([\s\S]*))?$/.exec(path.replace(below, '')) ?? []
  const query = at === -1 ? [] : readQuery(url.slice(at + 1))
  const fields = readFields(incoming.rawHeaders)
  addHoisted(fields, query)
  return {
    ...{ method, path, query, fields, incoming },
    bucket: bucket === '' ? undefined : bucket,
    key: key === '' ? undefined : key,
    parameter: (name) => query.find(([known]) => known === name)?.[1],
    header: (name) => fields.get(name),
  }
}

function readQuery(text: string): [string, string][] {
  return text
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=')
      return equals === -1 ? [decode(pair), ''] : [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))]
    })
}

function readFields(raw: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>()
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]!.toLowerCase()
    const known = fields.get(name)
    fields.set(name, known === undefined ? raw[index + 1]! : `${known},${raw[index + 1]}`)
  }
  return fields
}

const ofSignature = /^x-amz-(algorithm|credential|date|expires|signedheaders|signature|content-sha256|security-token)$/
const ofUnknownBody = /^x-amz-(checksum-|sdk-checksum-algorithm$)/

/**
 * Signers move fields into the address that they sign. A checksum among them is that of no body: whoever signed did not
 * have the one that will be sent.
 */
function addHoisted(fields: Map<string, string>, query: readonly (readonly [string, string])[]): void {
  for (const [given, value] of query) {
    const name = given.toLowerCase()
    const isField = name.startsWith('x-amz-') && !ofSignature.test(name) && !ofUnknownBody.test(name)
    if (isField && !fields.has(name)) fields.set(name, Buffer.from(value).toString('latin1'))
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid('The URL is not percent-encoded UTF-8.')
  }
}
