/**
 * The header fields that a program or an origin sees: what the client sent end to end, and what the platform knows.
 */
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import { connectionNames, hopByHop } from '#/http/header-list.ts'
import type { OriginExchange } from './origin-exchange.ts'

export interface Pop {
  readonly id: string
  /** ISO 3166 code of the country it stands in. */
  readonly country: string
}

/** Set here, so whatever a client sends under these names is removed first. `host` travels as the authority. */
const replaced: ReadonlySet<string> = new Set([
  'host',
  'expect',
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'cf-pseudo-ipv4',
  'cf-connecting-o2o',
  'cf-ray',
  'cf-visitor',
  'cf-ipcountry',
  'cf-worker',
  'cf-ew-via',
  'true-client-ip',
  'fastly-client-ip',
  'x-real-ip',
  'x-forwarded-proto',
  'x-forwarded-for',
  'x-forwarded-host',
  'cdn-loop',
])

/** What an origin does not get, or not as the client sent it. */
export const changedOnTheWay: ReadonlySet<string> = new Set([...replaced, ...hopByHop, 'via', 'traceparent'])

const loopName = 'rimward'

/**
 * A new list: end-to-end fields (RFC 9110 §7.6.1), then Cloudflare's `cf-*` and the forwarding fields. Throws
 * `request_loop` when the request came through us `requestLoops` times already (RFC 8586).
 */
export function forwardedHeaders(exchange: OriginExchange, pop: Pop, requestLoops: number): HeaderList {
  const { headers, connection } = exchange
  const { address } = connection.client
  const named = connectionNames(headers)
  const list: HeaderList = []
  let forwardedFor = address
  let loop = loopName
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    const value = headers[index + 1]!
    if (replaced.has(name)) {
      if (name === 'x-forwarded-for' && value !== '') forwardedFor = `${value}, ${address}`
      else if (name === 'cdn-loop') loop = countedLoop(value, requestLoops)
    } else if (hopByHop.has(name) || named?.has(name)) continue
    else if (name !== 'traceparent' || exchange.traceparent === undefined) list.push(name, value)
  }
  list.push(
    'cf-connecting-ip',
    address,
    'cf-ray',
    rayOf(exchange.id, pop),
    'cf-visitor',
    exchange.scheme === 'https' ? '{"scheme":"https"}' : '{"scheme":"http"}',
    'cf-ipcountry',
    connection.country ?? 'XX',
    'x-forwarded-for',
    forwardedFor,
    'x-forwarded-proto',
    exchange.scheme,
    'x-real-ip',
    address,
    'cdn-loop',
    loop,
  )
  if (exchange.traceparent !== undefined) list.push('traceparent', exchange.traceparent)
  return list
}

/** `CF-Ray`: the exchange's id and the point of presence. */
export function rayOf(id: string, pop: Pop): string {
  if (pop.id !== rayPop) {
    rayPop = pop.id
    rayEnd = `-${pop.id.toUpperCase()}`
  }
  return id + rayEnd
}

/** One process is one point of presence. */
let rayPop = ''
let rayEnd = '-'

function countedLoop(value: string, requestLoops: number): string {
  const passes = value.split(',').filter((part) => part.trim().split(';')[0]!.trim().toLowerCase() === loopName).length
  if (passes >= requestLoops)
    throw new EdgeError('request_loop', `This request came through this platform ${passes} times already.`)
  return `${value}, ${loopName}`
}
