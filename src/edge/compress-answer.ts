/** Compresses answers as the rules of a site ask for it, with gzip, while they pass. */
import type { Readable } from 'node:stream'
import { constants, createGzip } from 'node:zlib'
import type { RuleFacts } from '#/core/compile-condition.ts'
import type { When } from '#/core/compile-rules.ts'
import type { CompressionRule } from '#/core/delivery-rules.ts'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import { headerValue, headerValues } from '#/http/header-list.ts'
import { removeField, setField } from './change-headers.ts'

/** A body that is shorter than its compressed form with headers is left alone. */
const leastBytes = 200

/** The answer as it is, or a new one; says `Vary: Accept-Encoding` also where this client takes none (RFC 9110 §12.5.5). */
export function compressAnswer(rules: readonly When<CompressionRule>[], facts: RuleFacts, answer: Answer): Answer {
  if (rules.length === 0 || !isCompressible(answer)) return answer
  const seen = { ...facts, answer: { status: answer.status, headers: answer.headers } }
  if (!rules.some((one) => names(one.rule, facts, answer.headers) && one.applies(seen))) return answer
  const headers = [...answer.headers]
  addVary(headers)
  const { body } = answer
  if (facts.method === 'HEAD' || body === null || !takesGzip(headerValues(facts.headers, 'accept-encoding')))
    return { ...answer, headers }
  removeField(headers, 'content-length')
  removeField(headers, 'accept-ranges')
  setField(headers, 'content-encoding', 'gzip')
  const tag = headerValue(headers, 'etag')
  // RFC 9110 §8.8.3: other bytes cannot have the same strong validator.
  if (tag !== undefined && !tag.startsWith('W/')) setField(headers, 'etag', `W/${tag}`)
  return { ...answer, headers, body: compressed(body) }
}

function isCompressible({ status, headers, body }: Answer): boolean {
  if (status < 200 || [204, 205, 206, 304].includes(status)) return false
  if (headerValue(headers, 'content-encoding') !== undefined) return false
  if (/\bno-transform\b/i.test(headerValues(headers, 'cache-control') ?? '')) return false
  const length = body instanceof Uint8Array ? body.length : Number(headerValue(headers, 'content-length') ?? leastBytes)
  return length >= leastBytes
}

function names({ types, extensions }: CompressionRule, { url }: RuleFacts, headers: HeaderList): boolean {
  const type = headerValue(headers, 'content-type')?.replace(/;.*/s, '').trim().toLowerCase()
  if (type !== undefined && types.includes(type)) return true
  const path = url.split('?', 1)[0]!
  const dot = path.lastIndexOf('.')
  return dot > path.lastIndexOf('/') && extensions.includes(path.slice(dot + 1).toLowerCase())
}

/** RFC 9110 §12.5.3: named, or covered by `*`, and not with weight 0. */
function takesGzip(field: string | undefined): boolean {
  let star = false
  for (const member of field?.toLowerCase().split(',') ?? []) {
    const [coding, ...parameters] = member.split(';').map((part) => part.trim())
    const refused = parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
    if (coding === 'gzip' || coding === 'x-gzip') return !refused
    if (coding === '*') star = !refused
  }
  return star
}

function addVary(headers: HeaderList): void {
  const vary = headerValues(headers, 'vary')
  if (vary === undefined) headers.push('vary', 'Accept-Encoding')
  else if (!/(^|,)\s*(\*|accept-encoding)\s*(,|$)/i.test(vary)) setField(headers, 'vary', `${vary}, Accept-Encoding`)
}

/** Flushes what there is, so that an answer that arrives in pieces leaves in pieces. */
function compressed(body: Readable | Uint8Array): Readable {
  const gzip = createGzip({ flush: constants.Z_SYNC_FLUSH })
  if (body instanceof Uint8Array) {
    gzip.end(body)
    return gzip
  }
  body.once('error', (error) => gzip.destroy(error))
  gzip.once('close', () => {
    if (!body.readableEnded) body.destroy()
  })
  return body.pipe(gzip)
}
