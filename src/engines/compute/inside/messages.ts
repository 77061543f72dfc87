/** Requests and responses as a program builds and reads them. */
import type { HeaderList } from '#/core/exchange.ts'
import { headerValue } from '#/http/header-list.ts'
import { refuse, status } from './status.ts'

/** `http_version` of the ABI. */
export const httpVersion = { '0.9': 0, '1.0': 1, '1.1': 2, '2': 3, '3': 4 } as const

/** What a program wishes of the cache for one request (`cache_override_set`). */
export interface CacheOverride {
  readonly pass: boolean
  readonly ttl: number | undefined
  readonly staleWhileRevalidate: number | undefined
  /** Answers of this request must not be kept on disk. */
  readonly pci: boolean
  readonly surrogateKey: string
}

/** `Content-Length`, where it is a number. */
export function announcedLength(headers: HeaderList): number | undefined {
  const field = headerValue(headers, 'content-length')
  return field !== undefined && /^\d{1,15}$/.test(field) ? Number(field) : undefined
}

export class GuestRequest {
  method = 'GET'
  /** Absolute. */
  uri = '/'
  version: number = httpVersion['1.1']
  headers = new Fields()
  cacheOverride: CacheOverride | undefined
  /** Bit 0: gzip. */
  autoDecompress = 0
  /** 1: `Content-Length` and `Transfer-Encoding` are taken from the headers. */
  framing = 0
  /** Set on the request that the client sent. */
  downstream = false
}

export class GuestResponse {
  status = 200
  version: number = httpVersion['1.1']
  headers = new Fields()
  framing = 0
  keepAlive = 0
  /** Address of the origin that answered. */
  origin: { readonly address: string; readonly port: number } | undefined
}

/** Token of RFC 9110 §5.6.2. */
const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
// Field values have no line ends and no zero bytes (RFC 9110 §5.5).
const badValue = /[\r\n\0]/

/** Header fields, in order, duplicates kept; names compare without case. */
export class Fields {
  list: HeaderList

  constructor(list: HeaderList = []) {
    this.list = list
  }

  /** Each once, lower case, in order of first appearance. */
  names(): string[] {
    const seen = new Set<string>()
    for (let index = 0; index < this.list.length; index += 2) seen.add(this.list[index]!.toLowerCase())
    return [...seen]
  }

  values(name: string): string[] {
    const wanted = checkName(name)
    const found: string[] = []
    for (let index = 0; index < this.list.length; index += 2)
      if (this.list[index]!.toLowerCase() === wanted) found.push(this.list[index + 1]!)
    return found
  }

  first(name: string): string | undefined {
    return this.values(name)[0]
  }

  /** Throws `http invalid`. */
  append(name: string, value: string): void {
    this.list.push(checkName(name), checkValue(value))
  }

  set(name: string, values: readonly string[]): void {
    const wanted = checkName(name)
    for (const value of values) checkValue(value)
    this.#removeAll(wanted)
    for (const value of values) this.list.push(wanted, value)
  }

  /** Whether there was one. */
  remove(name: string): boolean {
    return this.#removeAll(checkName(name))
  }

  /** `wanted` is lower case. */
  #removeAll(wanted: string): boolean {
    const { list } = this
    let at = 0
    while (at < list.length && list[at]!.toLowerCase() !== wanted) at += 2
    if (at >= list.length) return false
    const kept = list.slice(0, at)
    for (let index = at + 2; index < list.length; index += 2)
      if (list[index]!.toLowerCase() !== wanted) kept.push(list[index]!, list[index + 1]!)
    this.list = kept
    return true
  }
}

function checkName(name: string): string {
  if (name.length > 65_535 || !fieldName.test(name)) refuse(status.httpInvalid, 'not the name of a field')
  return name.toLowerCase()
}

function checkValue(value: string): string {
  if (badValue.test(value)) refuse(status.httpInvalid, 'not the value of a field')
  return value.trim()
}
