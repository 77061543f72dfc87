/** Answers made out of what is stored: whole, a range of it, or «not modified». */
import { Readable } from 'node:stream'
import type { Body, HeaderList } from '#/core/exchange.ts'
import type { EgressAnswer } from '#/core/ports.ts'
import type { EpochMs } from '#/core/units.ts'
import { decideRange, decideRanges, type Extent } from '#/http/range.ts'
import { type Ask, seesSurrogates } from './ask.ts'
import { byteRanges } from './byteranges.ts'
import { type CacheSaying, cacheStatus } from './cache-status.ts'
import { ageOf, policyOf } from './may-reuse.ts'
import { ifRangeHolds, notModified } from './preconditions.ts'
import type { StoredAnswer, StoredHead } from './store.ts'

export interface Told extends CacheSaying {
  readonly hits?: number
}

/** Of the body, which a 304 has none of (RFC 9110 §15.4.5). */
const describesBody = /^content-(?!location$|security-policy$)/i

export function answerStored(stored: StoredAnswer, ask: Ask, now: EpochMs, told: Told): EgressAnswer {
  const { head } = stored
  const headers = headersOf(head, ask, now)
  const policy = policyOf(head)
  if (head.partial !== undefined) return answerFromPart(stored, headers, ask, told)
  if (head.status === 200) {
    if (notModified(ask.headers, policy, now)) return made(304, withoutBodyFields(headers), null, told)
    const asked = ask.range ?? ask.ranges
    const range = asked !== undefined && ifRangeHolds(ask.headers, policy) ? asked : undefined
    const part = decideRanges(range, stored.bodyBytes)
    if (part.kind === 'unsatisfiable') {
      headers.push('content-range', `bytes */${stored.bodyBytes}`)
      return made(416, withoutBodyFields(headers), null, told)
    }
    if (part.kind === 'part') {
      headers.push('content-range', `bytes ${part.start}-${part.end}/${stored.bodyBytes}`)
      return cut(stored, headers, part, told)
    }
    if (part.kind === 'parts') {
      const ranges = byteRanges(headers, part.parts, stored.bodyBytes)
      return made(206, ranges.headers, ranges.body(readerOf(stored)), told)
    }
  }
  if (head.status !== 204) headers.push('content-length', String(stored.bodyBytes))
  if (ask.method === 'HEAD' || stored.bodyBytes === 0) return made(head.status, headers, null, told)
  return made(head.status, headers, stored.bytes() ?? stored.stream(), told)
}

function readerOf(stored: StoredAnswer) {
  const bytes = stored.bytes()
  if (bytes === undefined) return (part: Extent) => stored.stream(part) as AsyncIterable<Uint8Array>
  return ({ start, end }: Extent) => [bytes.subarray(start, end + 1)]
}

function cut(
  stored: StoredAnswer,
  headers: HeaderList,
  part: { readonly start: number; readonly end: number },
  told: Told,
): EgressAnswer {
  headers.push('content-length', String(part.end - part.start + 1))
  const bytes = stored.bytes()
  return made(206, headers, bytes?.subarray(part.start, part.end + 1) ?? stored.stream(part), told)
}

/** Positions within the stored part that answer a `Range`; undefined when it does not hold all of them. */
export function withinPart(
  stored: StoredAnswer,
  range: string,
): { readonly start: number; readonly end: number; readonly contentRange: string } | undefined {
  const { partial } = stored.head
  if (partial === undefined) return undefined
  const policy = policyOf(stored.head)
  const total = partial.total
  const wholePart = { start: 0, end: stored.bodyBytes - 1 }
  const say = (start: number, end: number) => `bytes ${start}-${end}/${total ?? '*'}`
  if (policy.range === range) return { ...wholePart, contentRange: say(partial.start, policy.rangeEnd!) }
  const wanted = decideRange(range, total ?? partial.start + stored.bodyBytes)
  if (wanted.kind !== 'part' || wanted.start < partial.start || wanted.end > policy.rangeEnd!) return undefined
  // An open range of something whose size is unknown ends where nobody knows.
  if (total === undefined && !/^bytes=\d+-\d+$/i.test(range.trim())) return undefined
  // A suffix is counted from the end: some origins send a part one byte shorter than their Content-Range says.
  const bytes = wanted.end - wanted.start + 1
  const start = /=\s*-/.test(range) ? stored.bodyBytes - bytes : wanted.start - partial.start
  if (start < 0) return undefined
  const end = Math.min(start + bytes, stored.bodyBytes) - 1
  return { start, end, contentRange: say(wanted.start, wanted.end) }
}

function answerFromPart(stored: StoredAnswer, headers: HeaderList, ask: Ask, told: Told): EgressAnswer {
  const part = withinPart(stored, ask.range!)!
  headers.push('content-range', part.contentRange)
  return cut(stored, headers, part, told)
}

/** A new list: stored fields, the age, and what those who debug see besides. */
export function headersOf(head: StoredHead, ask: Ask, now: EpochMs): HeaderList {
  const headers = head.headers.slice()
  headers.push('age', String(Math.floor(ageOf(head, now) / 1000)))
  const { surrogate } = policyOf(head)
  if (surrogate !== undefined && seesSurrogates(ask)) headers.push(...surrogate)
  return headers
}

export function withoutBodyFields(headers: HeaderList): HeaderList {
  const kept: HeaderList = []
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    if (!describesBody.test(name) || name.toLowerCase() === 'content-range') kept.push(name, headers[index + 1]!)
  }
  return kept
}

export function made(status: number, headers: HeaderList, body: Body, told: Told): EgressAnswer {
  return {
    status,
    headers,
    body,
    cacheStatus: cacheStatus(told),
    cacheOutcome: told.outcome,
    cacheHits: told.hits ?? 0,
  }
}

/** The bytes from `start` to `end` (inclusive); lets go of the source when it has them. */
export function between(source: Readable, start: number, end: number): Readable {
  async function* parts() {
    let at = 0
    for await (const chunk of source as AsyncIterable<Uint8Array>) {
      const from = Math.max(start - at, 0)
      const to = Math.min(end + 1 - at, chunk.length)
      at += chunk.length
      if (from < to) yield chunk.subarray(from, to)
      if (at > end) return
    }
  }
  return Readable.from(parts())
}
