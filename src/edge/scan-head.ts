/**
 * Reads the plain request: GET or HEAD on HTTP/1.1, one Host, no body, nothing asked of the connection but to keep or
 * close it, every byte visible. Everything else it leaves to node:http. Two readers of one message that disagree are
 * how requests are smuggled, so this one accepts only what cannot be read in two ways; `scan-head.test.ts` compares.
 */
import type { HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import { parseAuthority } from '#/http/authority.ts'
import type { Head } from './read-head.ts'

interface ScannedFields {
  /** Shared by requests that say the same: never changed. */
  readonly headers: HeaderList
  readonly authority: string
  readonly host: string
  /** `Connection: close`. */
  readonly closes: boolean
  /** Bytes, with the empty line. */
  readonly length: number
}

export interface ScannedHead extends Head {
  readonly method: 'GET' | 'HEAD'
  readonly headers: HeaderList
  readonly closes: boolean
  /** Bytes from the request line to the empty line. */
  readonly length: number
}

/** The fields of a connection's last request: with the next one nearly all clients send the same, byte for byte. */
export interface FieldsMemo {
  /** From behind the request line to the end of the empty line. */
  text: string
  fields: ScannedFields | undefined
}

/** Longer ones are read anew, so that a connection that waits holds little. */
const longestMemo = 2048

const inToken = 1
const inValue = 2
const inTarget = 4

/** What each byte may stand in: RFC 9110 §5.6.2 tokens, visible text and spaces in values, no `#` in a target. */
const kinds = new Uint8Array(256)
for (let code = 0x20; code < 0x7f; code++) {
  const character = String.fromCharCode(code)
  kinds[code] =
    (/[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(character) ? inToken : 0) |
    inValue |
    (character === ' ' || character === '#' ? 0 : inTarget)
}

/** Names that say something about the connection or the framing; the scanner has no opinion on them. */
const foreign: ReadonlySet<string> = new Set([
  'te',
  'expect',
  'upgrade',
  'trailer',
  'content-length',
  'http2-settings',
  'proxy-connection',
  'transfer-encoding',
])

const longestForeign = 17

/** `text` holds the connection's bytes as Latin-1; undefined when its first request is not whole or not plain. */
export function scanHead(
  text: string,
  limits: Pick<Limits, 'urlBytes' | 'headerBytes' | 'headerCount'>,
  memo: FieldsMemo,
): ScannedHead | undefined {
  const method = text.startsWith('GET /') ? 'GET' : text.startsWith('HEAD /') ? 'HEAD' : undefined
  if (method === undefined) return undefined
  const target = method.length + 1
  const targetEnd = skip(text, target, inTarget)
  if (targetEnd - target > limits.urlBytes || !text.startsWith(' HTTP/1.1\r\n', targetEnd)) return undefined
  const fields = fieldsAt(text, targetEnd + 11, limits, memo)
  if (fields === undefined) return undefined
  return {
    method,
    headers: fields.headers,
    authority: fields.authority,
    host: fields.host,
    path: text.slice(target, targetEnd),
    closes: fields.closes,
    length: targetEnd + 11 + fields.length,
    hasBody: false,
    contentLength: 0,
    wantsUpgrade: false,
  }
}

type FieldLimits = Pick<Limits, 'headerBytes' | 'headerCount'>

function fieldsAt(text: string, start: number, limits: FieldLimits, memo: FieldsMemo): ScannedFields | undefined {
  // Comparing a piece cut out is ten times faster than `startsWith`.
  if (memo.fields !== undefined && text.slice(start, start + memo.text.length) === memo.text) return memo.fields
  const fields = scanFields(text, start, limits)
  // Of a longer text what is kept would keep all.
  if (fields !== undefined && text.length <= longestMemo) {
    memo.text = text.slice(start, start + fields.length)
    memo.fields = fields
  }
  return fields
}

function scanFields(text: string, start: number, limits: FieldLimits): ScannedFields | undefined {
  const headers: HeaderList = []
  let at = start
  let authority: string | undefined
  let closes: boolean | undefined
  while (text.charCodeAt(at) !== 13) {
    const nameEnd = skip(text, at, inToken)
    if (nameEnd === at || text.charCodeAt(nameEnd) !== 58) return undefined
    const name = text.slice(at, nameEnd)
    at = nameEnd + 1
    while (text.charCodeAt(at) === 32) at++
    const valueEnd = skip(text, at, inValue)
    if (valueEnd === at || text.charCodeAt(valueEnd - 1) === 32 || !isLineEnd(text, valueEnd)) return undefined
    const value = text.slice(at, valueEnd)
    at = valueEnd + 2
    headers.push(name, value)
    if (name.length > longestForeign) continue
    const lower = name.toLowerCase()
    if (lower === 'host') {
      if (authority !== undefined) return undefined
      authority = value
    } else if (lower === 'connection') {
      if (closes !== undefined) return undefined
      closes = asksToClose(value)
      if (closes === undefined) return undefined
    } else if (foreign.has(lower)) return undefined
  }
  const count = headers.length / 2
  // `readHead` counts a space behind each colon, whether or not there is one.
  if (!isLineEnd(text, at) || count > limits.headerCount || at - start + count > limits.headerBytes) return undefined
  const host = authority === undefined ? undefined : parseAuthority(authority)?.host
  if (authority === undefined || host === undefined) return undefined
  return { headers, authority, host, closes: closes === true, length: at + 2 - start }
}

function skip(text: string, from: number, kind: number): number {
  let at = from
  // Beyond the end the code is NaN, which is in no table.
  while ((kinds[text.charCodeAt(at)]! & kind) !== 0) at++
  return at
}

function isLineEnd(text: string, at: number): boolean {
  return text.charCodeAt(at) === 13 && text.charCodeAt(at + 1) === 10
}

function asksToClose(value: string): boolean | undefined {
  const lower = value.toLowerCase()
  return lower === 'close' ? true : lower === 'keep-alive' ? false : undefined
}
