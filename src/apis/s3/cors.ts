/** CORS of buckets: the rules over S3 (Put-, Get-, DeleteBucketCors), and what browsers are told. */
import type { IncomingMessage } from 'node:http'
import { type CorsRule, corsHeaders, corsRules, preflightHeaders } from '#/core/bucket-settings.ts'
import type { S3Answer } from './answer.ts'
import { xml } from './answer.ts'
import { textOf } from './body.ts'
import type { BucketBook, Call } from './call.ts'
import { readRequest } from './request.ts'
import { S3Error } from './trouble.ts'
import { malformedXml } from './uploads.ts'
import { readXml, type XmlElement } from './xml.ts'

const noCors = () => new S3Error(404, 'NoSuchCORSConfiguration', 'The CORS configuration does not exist.')

export function getCors({ cors }: Call): S3Answer {
  if (cors === undefined) throw noCors()
  const rules = cors.map(({ id, allowed, exposeHeaders, maxAgeSeconds }) => ({
    ...{ ID: id, AllowedOrigin: allowed.origins, AllowedMethod: allowed.methods, AllowedHeader: allowed.headers },
    ...{ ExposeHeader: exposeHeaders, MaxAgeSeconds: maxAgeSeconds },
  }))
  return xml('CORSConfiguration', { CORSRule: rules })
}

export async function putCors({ body, limits, setCors }: Call): Promise<S3Answer> {
  const root = readXml(await textOf(body(), limits.metadataBytes))
  if (root?.name !== 'CORSConfiguration') throw malformedXml()
  const read = corsRules.safeParse(root.children.filter(({ name }) => name === 'CORSRule').map(toRule))
  if (!read.success || read.data.length === 0) throw malformedXml()
  await setCors(read.data)
  return { status: 200 }
}

export async function deleteCors({ setCors }: Call): Promise<S3Answer> {
  await setCors(undefined)
  return { status: 204 }
}

function toRule(element: XmlElement): object {
  const all = (name: string) => element.children.filter((child) => child.name === name).map(({ text }) => text)
  const [id] = all('ID')
  const [age] = all('MaxAgeSeconds')
  const [headers, exposeHeaders] = [all('AllowedHeader'), all('ExposeHeader')]
  return {
    ...(id !== undefined && { id }),
    allowed: {
      origins: all('AllowedOrigin'),
      methods: all('AllowedMethod'),
      ...(headers.length > 0 && { headers }),
    },
    ...(exposeHeaders.length > 0 && { exposeHeaders }),
    ...(age !== undefined && { maxAgeSeconds: Number(age) }),
  }
}

function rulesFor(incoming: IncomingMessage, book: (incoming: IncomingMessage) => BucketBook): readonly CorsRule[] {
  const { bucket } = readRequest(incoming)
  return (bucket === undefined ? undefined : book(incoming).find(bucket)?.cors) ?? []
}

/** A browser asks before it signs anything. */
export function preflight(incoming: IncomingMessage, book: (incoming: IncomingMessage) => BucketBook): S3Answer {
  const { headers } = incoming
  const field = (name: string) => (typeof headers[name] === 'string' ? headers[name] : undefined)
  const asked = { origin: field('origin'), method: field('access-control-request-method') }
  const wish = { ...asked, headers: field('access-control-request-headers') }
  const allowed = preflightHeaders(rulesFor(incoming, book), wish)
  if (allowed === undefined)
    throw new S3Error(403, 'AccessForbidden', 'CORSResponse: This CORS request is not allowed.')
  return { status: 204, headers: allowed }
}

/** The answer, an error too, with what a browser of another origin has to see. */
export function withCors(
  answer: S3Answer,
  incoming: IncomingMessage,
  book: (incoming: IncomingMessage) => BucketBook,
): S3Answer {
  const { origin } = incoming.headers
  if (origin === undefined || incoming.method === 'OPTIONS') return answer
  const shared = corsHeaders(rulesFor(incoming, book), { origin, method: incoming.method ?? 'GET' })
  return { ...answer, headers: { ...answer.headers, ...shared } }
}
