/**
 * Large objects in segments: a range of a file of gigabytes is put together from aligned pieces, each fetched and stored
 * by itself. All of them bear the strong validator that was seen first (RFC 9111 §3.4, RFC 9110 §13.1.5).
 */
import { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { EgressAnswer, EgressRequest } from '#/core/ports.ts'
import type { Bytes } from '#/core/units.ts'
import { headerValue } from '#/http/header-list.ts'
import { decideRanges, type Extent } from '#/http/range.ts'
import type { Ask } from './ask.ts'
import { byteRanges } from './byteranges.ts'
import { ifRangeHolds, notModified } from './preconditions.ts'

/** What is known of an object that is fetched in segments. */
export interface LargeObject {
  readonly total: Bytes
  /** Strong. */
  readonly etag: string
}

export interface LargeObjects {
  get(key: string): LargeObject | undefined
  set(key: string, object: LargeObject): void
  delete(key: string): void
}

/** The oldest go first when there are more than `limit`. */
export function createLargeObjects(limit: number): LargeObjects {
  const known = new Map<string, LargeObject>()
  return {
    get: (key) => (known.size === 0 ? undefined : known.get(key)),
    set(key, object) {
      known.delete(key)
      known.set(key, object)
      if (known.size <= limit) return
      for (const oldest of known.keys()) {
        known.delete(oldest)
        break
      }
    },
    delete: (key) => void known.delete(key),
  }
}

export type FetchSegment = (request: EgressRequest, ask: Ask) => Promise<EgressAnswer>

export interface SegmentOptions {
  readonly segmentBytes: Bytes
  readonly fetchSegment: FetchSegment
  /** The object is not what it was: forget what is known of it. */
  onChanged(): void
}

/** Undefined when the object changed meanwhile, before anything of it was sent: fetch it as if it were unknown. */
export async function answerInSegments(
  request: EgressRequest,
  ask: Ask,
  object: LargeObject,
  options: SegmentOptions,
): Promise<EgressAnswer | undefined> {
  const { etag, total } = object
  const validators = { etag, lastModified: undefined, changedAt: Number.POSITIVE_INFINITY }
  const asked = ask.range ?? ask.ranges
  const honoured = asked !== undefined && ifRangeHolds(ask.headers, validators) ? asked : undefined
  const wanted = decideRanges(honoured, total)
  // What needs no body, or cannot be satisfied, costs one segment at most.
  const start = wanted.kind === 'part' ? wanted.start : wanted.kind === 'parts' ? wanted.parts[0]!.start : 0
  const end = wanted.kind === 'part' ? wanted.end : total - 1
  const pieces = createPieces(request, ask, object, options)
  const first = await pieces.fetch(Math.floor(start / options.segmentBytes))
  if (first === undefined) {
    options.onChanged()
    return undefined
  }
  const headers = withoutExtent(first.headers)
  const answer = { ...first, headers, cacheStatus: `${first.cacheStatus}; detail=segments` }
  const unsent = notModified(ask.headers, validators, 0)
  if (unsent || wanted.kind === 'unsatisfiable' || ask.method === 'HEAD') {
    drop(first)
    if (unsent) return { ...answer, status: 304, body: null }
    if (wanted.kind === 'unsatisfiable')
      return { ...answer, status: 416, headers: [...headers, 'content-range', `bytes */${total}`], body: null }
    return { ...answer, status: 200, headers: [...headers, 'content-length', String(total)], body: null }
  }
  if (wanted.kind === 'parts') {
    const ranges = byteRanges(headers, wanted.parts, total)
    return { ...answer, status: 206, headers: ranges.headers, body: ranges.body(pieces.reader(first)) }
  }
  headers.push('content-length', String(end - start + 1))
  if (wanted.kind === 'part') headers.push('content-range', `bytes ${start}-${end}/${total}`)
  const body = Readable.from(pieces.join(first, start, end), { objectMode: false })
  return { ...answer, status: wanted.kind === 'part' ? 206 : 200, body }
}

function createPieces(request: EgressRequest, ask: Ask, { total, etag }: LargeObject, options: SegmentOptions) {
  const { segmentBytes } = options
  const { cache: wish } = request

  /** Undefined where the answer is not this piece of this object. */
  async function fetch(index: number): Promise<EgressAnswer | undefined> {
    const from = index * segmentBytes
    const range = `bytes=${from}-${Math.min(from + segmentBytes, total) - 1}`
    const headers = withRange(request.headers, range, etag)
    const piece: Ask = {
      ...ask,
      ranges: undefined,
      key: `${ask.key}\nsegment ${index} ${etag}`,
      method: 'GET',
      headers,
      range,
    }
    const answer = await options.fetchSegment(
      { ...request, method: 'GET', headers, body: null, ...(wish && { cache: wish }) },
      piece,
    )
    const fits = answer.status === 206 && headerValue(answer.headers, 'etag') === etag
    const extent = `bytes ${range.slice('bytes='.length)}/${total}`
    if (fits && headerValue(answer.headers, 'content-range') === extent) return answer
    drop(answer)
    return undefined
  }

  async function* join(first: EgressAnswer, start: number, end: number) {
    let index = Math.floor(start / segmentBytes)
    const last = Math.floor(end / segmentBytes)
    let current: EgressAnswer | undefined = first
    let next: Promise<EgressAnswer | undefined> | undefined
    try {
      for (; index <= last; index++) {
        // One ahead, so that the origin's round trip is not felt between two segments.
        next = index < last ? fetch(index + 1) : undefined
        next?.catch(() => {})
        const from = index * segmentBytes
        yield* within(current!, Math.max(start - from, 0), end - from)
        current = undefined
        if (next === undefined) return
        current = await next
        if (current === undefined) {
          throw changed(options)
        }
      }
    } finally {
      if (current !== undefined) drop(current)
      next?.then(
        (unread) => unread !== undefined && unread !== current && drop(unread),
        () => {},
      )
    }
  }

  /** Reads several ranges one after the other; `first` is where the first of them begins. */
  function reader(first: EgressAnswer) {
    let held: EgressAnswer | undefined = first
    return async function* read({ start, end }: Extent) {
      const begin = held ?? (await fetch(Math.floor(start / segmentBytes)))
      held = undefined
      if (begin === undefined) throw changed(options)
      yield* join(begin, start, end)
    }
  }
  return { fetch, join, reader }
}

function changed({ onChanged }: SegmentOptions): EdgeError {
  onChanged()
  return new EdgeError('origin_failed', 'The file changed at its origin while it was being sent.')
}

async function* within({ body }: EgressAnswer, from: number, to: number) {
  if (body === null) return
  let at = 0
  for await (const chunk of body instanceof Uint8Array ? [body] : (body as AsyncIterable<Uint8Array>)) {
    const start = Math.max(from - at, 0)
    const end = Math.min(to + 1 - at, chunk.length)
    at += chunk.length
    if (start < end) yield chunk.subarray(start, end)
    if (at > to) return
  }
}

function withRange(headers: HeaderList, range: string, etag: string): HeaderList {
  const list: HeaderList = []
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    if (name !== 'range' && name !== 'if-range' && !name.startsWith('if-')) list.push(name, headers[index + 1]!)
  }
  list.push('range', range, 'if-range', etag)
  return list
}

function withoutExtent(headers: HeaderList): HeaderList {
  const list: HeaderList = []
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    if (name !== 'content-length' && name !== 'content-range') list.push(headers[index]!, headers[index + 1]!)
  }
  return list
}

function drop({ body }: EgressAnswer): void {
  if (body instanceof Readable) body.on('error', () => {}).destroy()
}
