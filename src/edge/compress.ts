/**
 * Codes the bytes of answers for the client that asked: zstd, brotli or gzip on the fly, and plain bytes from coded
 * ones for who cannot read them. A body that comes again is encoded once.
 */
import { Readable } from 'node:stream'
import { createBoundedCache } from '#/core/bounded-cache.ts'
import type { Answer, Body, CodedBody, HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import { StoredUse } from '#/core/stored-use.ts'
import { type AcceptedCodings, type Coding, nothingSaid, parseAcceptEncoding } from '#/http/accept-encoding.ts'
import { headerValue, headerValues } from '#/http/header-list.ts'
import { codedUse } from './coded-use.ts'
import { type CodingPlan, codedHeaders, planCoding, varyingHeaders } from './compress-plan.ts'
import { codeStream, encodeWhole } from './compress-stream.ts'

export interface Compressor {
  /** At once where nothing is to be computed. The same answer where nothing changes. Never rejects. */
  encode(answer: Answer, request: CompressedRequest): Answer | Promise<Answer>
  readonly facts: { readonly busy: number; readonly keptBytes: number }
}

export interface CompressedRequest {
  readonly method: string
  readonly headers: HeaderList
  /** What the site's own rules say; undefined: nothing, so that the usual types are compressed. */
  readonly mayCompress?: boolean | undefined
}

export interface CompressorOptions {
  readonly limits: Pick<
    Limits,
    'compressMinimumBytes' | 'compressWholeBytes' | 'compressStreams' | 'compressKeptBytes' | 'compressFlushMs'
  >
}

/** A body that was seen before, and its codings so far. Who holds a body and gives it twice never changes it. */
interface SeenBody {
  readonly id: number
  readonly running: Map<Coding, Promise<Buffer>>
}

const acceptsKept = 256

export function createCompressor({ limits }: CompressorOptions): Compressor {
  const accepts = createBoundedCache<AcceptedCodings>(acceptsKept)
  const kept = createBoundedCache<Buffer>(limits.compressKeptBytes)
  const seen = new WeakMap<Uint8Array, SeenBody>()
  /** The last plan for uses of a stored answer, by its fields. */
  const plans = new WeakMap<HeaderList, { readonly accepted: AcceptedCodings; readonly plan: CodingPlan }>()
  let ids = 0
  let busy = 0

  function acceptedBy(headers: HeaderList): AcceptedCodings {
    const field = headerValues(headers, 'accept-encoding')
    if (field === undefined) return nothingSaid
    const known = accepts.get(field)
    if (known !== undefined) return known
    const parsed = parseAcceptEncoding(field)
    if (field.length <= 128) accepts.put(field, parsed, 1)
    return parsed
  }

  /** Encoded now, or being encoded for somebody else at this moment, or kept from before. */
  function whole(body: Uint8Array, coding: Coding): Buffer | Promise<Buffer> {
    const before = seen.get(body)
    const record: SeenBody = before ?? { id: ++ids, running: new Map() }
    if (before === undefined) seen.set(body, record)
    const key = `${record.id} ${coding}`
    const found = before && (kept.get(key) ?? record.running.get(coding))
    if (found !== undefined) return found
    busy++
    const encoding = encodeWhole(body, coding)
      .then((encoded) => {
        // Only what came twice is worth keeping: most programs make each body anew.
        if (before !== undefined) kept.put(key, encoded, encoded.length)
        return encoded
      })
      .finally(() => {
        busy--
        record.running.delete(coding)
      })
    record.running.set(coding, encoding)
    return encoding
  }

  function streamed(answer: Answer, source: Readable, plan: Coded): Answer {
    const { decode, encode } = plan
    busy++
    const onClose = () => void busy--
    const body = codeStream(source, { decode, encode, flushMs: limits.compressFlushMs, onClose })
    const sent = answer.codings === undefined || encode === undefined ? body : answer.codings.keep(encode, body)
    return withHead(answer, codedHeaders(answer.headers, encode), sent)
  }

  function encodeBytes(answer: Answer, body: Uint8Array, plan: Coded): Answer | Promise<Answer> {
    const { decode, encode } = plan
    if (decode !== undefined || encode === undefined || body.length > limits.compressWholeBytes)
      return streamed(answer, Readable.from([body], { objectMode: false }), plan)
    const bytes = whole(body, encode)
    const made = (encoded: Buffer) =>
      StoredUse.is(answer)
        ? codedUse(answer, encode, encoded)
        : withHead(answer, codedHeaders(answer.headers, encode), encoded)
    return bytes instanceof Promise ? bytes.then(made) : made(bytes)
  }

  function encodeNow(answer: Answer, body: Exclude<Body, null>, plan: Coded): Answer | Promise<Answer> {
    // Decoding is not spared: the client cannot read what is there.
    if (busy >= limits.compressStreams && plan.decode === undefined) return withVary(answer)
    return body instanceof Uint8Array ? encodeBytes(answer, body, plan) : streamed(answer, body, plan)
  }

  /** `coded` is what the cache has kept; where it has nothing, what is encoded now is kept on its way out. */
  function answerKept(
    answer: Answer,
    body: Exclude<Body, null>,
    plan: Coded,
    coded: CodedBody | undefined,
  ): Answer | Promise<Answer> {
    if (coded === undefined) return encodeNow(answer, body, plan)
    if (body instanceof Readable) body.on('error', () => {}).destroy()
    const headers = codedHeaders(answer.headers, plan.encode)
    headers.push('content-length', String(coded.bytes))
    return withHead(answer, headers, coded.body)
  }

  function planOf(answer: Answer, request: CompressedRequest): CodingPlan {
    const { body, status, headers } = answer
    const accepted = acceptedBy(request.headers)
    const fixed = request.mayCompress === undefined && planIsKept(answer, request) ? answer.fixed : undefined
    const before = fixed && plans.get(fixed)
    if (before !== undefined && before.accepted === accepted) return before.plan
    const made = planCoding({
      method: request.method,
      status,
      headers,
      bodyBytes: body === null ? 0 : body instanceof Uint8Array ? body.length : undefined,
      accepted,
      requestHeaders: request.headers,
      mayCompress: request.mayCompress,
      minimumBytes: limits.compressMinimumBytes,
    })
    if (fixed !== undefined) plans.set(fixed, { accepted, plan: made })
    return made
  }

  return {
    encode(answer, request) {
      const { body, headers } = answer
      const plan = planOf(answer, request)
      if (plan.kind === 'leave') return plan.vary ? withVary(answer) : answer
      if (request.method === 'HEAD' || body === null) return withHead(answer, codedHeaders(headers, plan.encode), body)
      const { codings } = answer
      if (codings === undefined || plan.encode === undefined) return encodeNow(answer, body, plan)
      const found = codings.find(plan.encode)
      if (!(found instanceof Promise)) return answerKept(answer, body, plan, found)
      return found.then((coded) => answerKept(answer, body, plan, coded))
    },
    get facts() {
      return { busy, keptBytes: kept.weight }
    },
  }
}

/** Besides the stored answer and what is accepted, only the client's `Cache-Control` counts. */
function planIsKept(answer: Answer, { method, headers }: CompressedRequest): answer is StoredUse {
  return method === 'GET' && StoredUse.is(answer) && headerValue(headers, 'cache-control') === undefined
}

type Coded = Extract<CodingPlan, { readonly kind: 'code' }>

/** One shape for all, written out: the hot path spreads nothing. */
function withHead({ status, statusText }: Answer, headers: HeaderList, body: Body): Answer {
  return statusText === undefined ? { status, headers, body } : { status, statusText, headers, body }
}

function withVary(answer: Answer): Answer {
  const headers = varyingHeaders(answer.headers)
  return headers === answer.headers ? answer : withHead(answer, headers, answer.body)
}
