/**
 * Strict incremental parser for HTTP/1.1 responses (RFC 9112), as workerd writes them. Lenient forms that invite
 * smuggling (bare LF, folded lines, two lengths, length beside chunks) are errors.
 */
import type { HeaderList } from '#/core/exchange.ts'

export interface ResponseHead {
  readonly status: number
  readonly statusText: string
  /** As on the wire, hop-by-hop fields removed (RFC 9110 §7.6.1). */
  readonly headers: HeaderList
  readonly keepAlive: boolean
  /** Bytes of the body; -1: chunked; -2: until the connection closes. */
  readonly length: number
}

export interface ResponseEvents {
  onHead(head: ResponseHead): void
  onInformational(status: number, headers: HeaderList): void
  onData(bytes: Buffer): void
  onEnd(): void
}

export const chunked = -1
export const untilClose = -2

const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const badValue = /[\x00-\x08\x0a-\x1f\x7f]/
const statusLine = /^HTTP\/1\.1 ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?$/
const chunkSize = /^([0-9A-Fa-f]{1,12})$/

type State = 'head' | 'fixed' | 'size' | 'chunk' | 'chunk-end' | 'trailers' | 'close' | 'done'

/** The response is not HTTP/1.1 as it should be. */
export class ResponseSyntaxError extends Error {}

/** One instance parses one response (interim ones before it included); what follows it stays in `rest`. */
export class ResponseParser {
  readonly #events: ResponseEvents
  readonly #method: string
  readonly #maxHeadBytes: number
  #state: State = 'head'
  #left = 0
  #kept: Buffer | undefined
  /** Bytes behind the end of the response (or behind a 101's head). */
  rest: Buffer | undefined

  constructor(events: ResponseEvents, method: string, maxHeadBytes: number) {
    this.#events = events
    this.#method = method
    this.#maxHeadBytes = maxHeadBytes
  }

  get done(): boolean {
    return this.#state === 'done'
  }

  /** `chunk` is the caller's again when this returns, and so is what `onData` got of it. */
  push(chunk: Buffer): void {
    let bytes = chunk
    if (this.#kept !== undefined) {
      bytes = Buffer.concat([this.#kept, chunk])
      this.#kept = undefined
    }
    let at = 0
    while (at < bytes.length) {
      if (this.#state === 'done') {
        this.rest = Buffer.from(bytes.subarray(at))
        return
      }
      const next = this.#step(bytes, at)
      if (next === -1) {
        if (bytes.length - at > this.#maxHeadBytes) throw new ResponseSyntaxError('line or head too long')
        this.#kept = Buffer.from(bytes.subarray(at))
        return
      }
      at = next
    }
  }

  /** The other side closed. */
  close(): void {
    if (this.#state === 'done') return
    if (this.#state !== 'close') throw new ResponseSyntaxError('closed before the response was complete')
    this.#finish()
  }

  /** Consumes something from `at` on; returns where it stopped, -1 when more bytes are needed first. */
  #step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case 'head':
        return this.#head(bytes, at)
      case 'size':
        return this.#size(bytes, at)
      case 'chunk-end':
        return this.#chunkEnd(bytes, at)
      case 'trailers':
        return this.#trailers(bytes, at)
      case 'close':
        this.#events.onData(at === 0 ? bytes : bytes.subarray(at))
        return bytes.length
      default:
        return this.#take(bytes, at)
    }
  }

  #take(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left)
    this.#left -= end - at
    this.#events.onData(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end))
    if (this.#left === 0) {
      if (this.#state === 'fixed') this.#finish()
      else this.#state = 'chunk-end'
    }
    return end
  }

  #size(bytes: Buffer, at: number): number {
    const end = bytes.indexOf('\r\n', at, 'latin1')
    if (end === -1) return -1
    const match = chunkSize.exec(bytes.toString('latin1', at, end))
    if (match === null) throw new ResponseSyntaxError('bad chunk size')
    this.#left = Number.parseInt(match[1]!, 16)
    this.#state = this.#left === 0 ? 'trailers' : 'chunk'
    return end + 2
  }

  #chunkEnd(bytes: Buffer, at: number): number {
    if (bytes.length - at < 2) return -1
    if (bytes[at] !== 13 || bytes[at + 1] !== 10) throw new ResponseSyntaxError('chunk longer than its size')
    this.#state = 'size'
    return at + 2
  }

  /** Trailers are read and dropped: no caller can pass them on. */
  #trailers(bytes: Buffer, at: number): number {
    const end = bytes.indexOf('\r\n', at, 'latin1')
    if (end === -1) return -1
    if (end === at) this.#finish()
    return end + 2
  }

  #finish(): void {
    this.#state = 'done'
    this.#events.onEnd()
  }

  #head(bytes: Buffer, at: number): number {
    const end = bytes.indexOf('\r\n\r\n', at, 'latin1')
    if (end === -1) return -1
    if (end - at > this.#maxHeadBytes) throw new ResponseSyntaxError('line or head too long')
    const lines = bytes.toString('latin1', at, end).split('\r\n')
    const first = statusLine.exec(lines[0]!)
    if (first === null) throw new ResponseSyntaxError('bad status line')
    const status = Number(first[1])
    const head = readFields(lines)
    if (status < 200 && status !== 101) {
      this.#events.onInformational(status, head.headers)
      return end + 4
    }
    const length = this.#bodyLength(status, head)
    this.#state = length === chunked ? 'size' : length === untilClose ? 'close' : 'fixed'
    this.#left = length
    const keepAlive = head.keepAlive && length !== untilClose
    this.#events.onHead({ status, statusText: first[2] ?? '', headers: head.headers, keepAlive, length })
    if (length === 0) this.#finish()
    return end + 4
  }

  /** RFC 9112 §6.3. */
  #bodyLength(status: number, head: Fields): number {
    if (this.#method === 'HEAD' || status === 204 || status === 304 || status === 101) return 0
    if (head.chunked) return chunked
    return head.length ?? untilClose
  }
}

interface Fields {
  readonly headers: HeaderList
  readonly keepAlive: boolean
  readonly chunked: boolean
  readonly length: number | undefined
}

function readFields(lines: readonly string[]): Fields {
  const headers: HeaderList = []
  let keepAlive = true
  let isChunked = false
  let length: number | undefined
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index]!
    const colon = line.indexOf(':')
    const name = line.slice(0, colon)
    if (colon < 1 || !fieldName.test(name)) throw new ResponseSyntaxError('bad field name')
    const value = line.slice(colon + 1).trim()
    if (badValue.test(value)) throw new ResponseSyntaxError('bad field value')
    switch (hopByHopLengths.has(name.length) ? name.toLowerCase() : '') {
      case 'content-length': {
        if (length !== undefined || !/^[0-9]{1,15}$/.test(value)) throw new ResponseSyntaxError('bad content-length')
        length = Number(value)
        headers.push(name, value)
        break
      }
      case 'transfer-encoding':
        if (isChunked || value.toLowerCase() !== 'chunked') throw new ResponseSyntaxError('bad transfer-encoding')
        isChunked = true
        break
      case 'connection':
        if (value.toLowerCase().includes('close')) keepAlive = false
        break
      case 'keep-alive':
      case 'upgrade':
      case 'proxy-connection':
      case 'te':
      case 'trailer':
        break
      default:
        headers.push(name, value)
    }
  }
  if (isChunked && length !== undefined) throw new ResponseSyntaxError('content-length beside chunks')
  return { headers, keepAlive, chunked: isChunked, length }
}

/** Lengths of the names handled above: most fields skip the lower-casing. */
const hopByHopLengths = new Set(
  [
    'content-length',
    'transfer-encoding',
    'connection',
    'keep-alive',
    'upgrade',
    'proxy-connection',
    'te',
    'trailer',
  ].map((name) => name.length),
)
