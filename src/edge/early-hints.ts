/**
 * Learns which files pages link to in `Link` fields and names them ahead of the next answer (RFC 8297).
 */
import { createBoundedCache } from '#/core/bounded-cache.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'

export interface HintFacts {
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly host: string
  /** Path and query as sent. */
  readonly path: string
  readonly headers: HeaderList
}

export interface EarlyHints {
  /** `link` fields for a 103 on this request; undefined when none are known. */
  of(facts: HintFacts): HeaderList | undefined
  /** Takes note of an answer's `Link` fields, or that it has none any more. */
  learn(facts: HintFacts, status: number, headers: HeaderList): void
}

export interface EarlyHintsOptions {
  readonly limits: Pick<Limits, 'earlyHintUrls' | 'earlyHintBytes'>
}

const none: HeaderList = []

export function createEarlyHints({ limits }: EarlyHintsOptions): EarlyHints {
  const known = createBoundedCache<HeaderList>(limits.earlyHintUrls)
  const keyOf = ({ scheme, host, path }: HintFacts) => `${scheme}//${host}${path}`
  return {
    of(facts) {
      if (known.weight === 0 || facts.method !== 'GET') return undefined
      const links = known.get(keyOf(facts))
      return links === undefined || links.length === 0 ? undefined : [...links]
    },
    learn(facts, status, headers) {
      if (facts.method !== 'GET' || status !== 200) return
      const links = linksOf(headers, limits.earlyHintBytes)
      if (links.length === 0 && (known.weight === 0 || known.get(keyOf(facts)) === undefined)) return
      // What is for one visitor alone is not told to the next.
      known.put(keyOf(facts), isShared(facts.headers, headers) ? links : none, 1)
    },
  }
}

/** The values worth sending ahead, as fields of an interim answer. */
function linksOf(headers: HeaderList, limitBytes: number): HeaderList {
  let type = ''
  let links: HeaderList | undefined
  let bytes = 0
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    const value = headers[index + 1]!
    if (name.length === 12 && name.toLowerCase() === 'content-type') type = value
    if (name.length !== 4 || name.toLowerCase() !== 'link') continue
    for (const link of splitLinks(value)) {
      if (!/;\s*rel\s*=\s*"?(?:preload|preconnect)"?\s*(?:;|$)/i.test(link) || bytes + link.length > limitBytes)
        continue
      bytes += link.length
      links ??= []
      links.push('link', link)
    }
  }
  return links !== undefined && /^text\/html\b/i.test(type) ? links : none
}

/** RFC 8288 §3: commas inside `<…>` and `"…"` separate nothing. One pass, whatever a program writes. */
function splitLinks(value: string): string[] {
  const links: string[] = []
  let start = 0
  let closing = ''
  for (let index = 0; index < value.length; index++) {
    const char = value[index]!
    if (closing === '"' && char === '\\') index++
    else if (closing !== '') {
      if (char === closing) closing = ''
    } else if (char === '<') closing = '>'
    else if (char === '"') closing = '"'
    else if (char === ',') {
      links.push(value.slice(start, index).trim())
      start = index + 1
    }
  }
  links.push(value.slice(start).trim())
  return links
}

function isShared(asked: HeaderList, answered: HeaderList): boolean {
  for (let index = 0; index < asked.length; index += 2)
    if (asked[index]!.length === 13 && asked[index]!.toLowerCase() === 'authorization') return false
  for (let index = 0; index < answered.length; index += 2) {
    const name = answered[index]!
    if (name.length === 10 && name.toLowerCase() === 'set-cookie') return false
    if (name.length !== 13 || name.toLowerCase() !== 'cache-control') continue
    if (/(?:^|,)\s*(?:private|no-store)\b/i.test(answered[index + 1]!)) return false
  }
  return true
}
