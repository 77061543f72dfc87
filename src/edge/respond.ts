/**
 * Turns an Answer into what goes out on the connection.
 */
import { EdgeError } from '#/core/errors.ts'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import { StoredUse } from '#/core/stored-use.ts'
import { connectionNames, hopByHop } from '#/http/header-list.ts'
import type { AcceptedExchange } from './accepted.ts'
import { checkFields } from './check-fields.ts'
import { fixedHead, fixedRest } from './fixed-head.ts'
import type { Reply } from './reply.ts'
import { type Pop, rayOf } from './request-headers.ts'
import { takesTrailers } from './takes-trailers.ts'

export interface RespondOptions {
  readonly pop: Pop
  readonly debug: boolean
  readonly draining: boolean
  readonly unreadBodyBytes: number
}

/** Resolves when the answer is handed to the connection; `exchange.status` and `bytesOut` are set on the way. */
export function respond(
  exchange: AcceptedExchange,
  reply: Reply,
  answer: Answer,
  options: RespondOptions,
): Promise<void> | undefined {
  if (sendFixed(exchange, reply, answer, options)) return undefined
  const joins = answer.status === 101 && answer.upgraded !== undefined && exchange.wantsUpgrade
  if (!joins && !(answer.status >= 200 && answer.status <= 599)) {
    answer.upgraded?.destroy()
    throw new EdgeError('program_exception', `The answer has status ${answer.status}, which this request cannot get.`)
  }
  const headers = answer.headComplete ? answer.headers : checkedHeaders(exchange, answer, options)
  exchange.status = answer.status
  if (closesAfter(exchange, options)) reply.closeAfter()
  if (joins)
    return reply.switchProtocols(headers, answer.upgraded!).then((bytes) => {
      exchange.bytesOut = bytes
    })
  const { body, status, statusText } = answer
  if (body === null || hasNoBody(exchange.method, status)) {
    if (body !== null && !(body instanceof Uint8Array)) body.on('error', () => {}).destroy()
    if (body instanceof Uint8Array || needsLength(exchange.method, answer))
      setLength(headers, status, body instanceof Uint8Array ? body.length : 0)
    reply.sendWhole(status, statusText, headers, null)
    exchange.bytesOut = 0
    return undefined
  }
  if (body instanceof Uint8Array) {
    setLength(headers, status, body.length)
    reply.sendWhole(status, statusText, headers, body)
    exchange.bytesOut = body.length
    return undefined
  }
  const trailers = takesTrailers(exchange) ? 'send' : 'drop'
  return reply.sendStream(status, statusText, headers, body, trailers).then((bytes) => {
    exchange.bytesOut = bytes
  })
}

/** A hit in memory: what is the same each time was looked at when it came first. */
function sendFixed(exchange: AcceptedExchange, reply: Reply, answer: Answer, options: RespondOptions): boolean {
  if (reply.sendFixed === undefined || options.debug || exchange.method !== 'GET' || !StoredUse.is(answer)) return false
  const head = fixedHead(answer, ours, options.pop.id)
  if (head === undefined) return false
  exchange.status = answer.status
  if (closesAfter(exchange, options)) reply.closeAfter()
  reply.sendFixed(head, fixedRest(answer, rayOf(exchange.id, options.pop)), answer.body)
  exchange.bytesOut = answer.body.length
  return true
}

function checkedHeaders(exchange: AcceptedExchange, answer: Answer, options: RespondOptions): HeaderList {
  const headers = responseHeaders(exchange, answer, options)
  try {
    checkFields(headers, answer.statusText)
  } catch (error) {
    answer.upgraded?.destroy()
    if (answer.body !== null && !(answer.body instanceof Uint8Array)) answer.body.on('error', () => {}).destroy()
    throw error
  }
  return headers
}

/** Worth keeping the connection? Not when draining, nor when more of the request body is left than we care to read. */
function closesAfter(exchange: AcceptedExchange, options: RespondOptions): boolean {
  const body = exchange.requestBody
  // Pipelined exchanges behind this one still get their answers.
  const behind = exchange.connection.live.at(-1)
  if (exchange.isLast || (options.draining && (behind === undefined || behind === exchange))) return true
  return body !== null && !body.complete && body.remaining > options.unreadBodyBytes
}

/** RFC 9110 §6.4.1. */
function hasNoBody(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 205 || status === 304 || status < 200
}

/** An empty answer says so, except where Content-Length would describe another answer's body (HEAD, 304). */
function needsLength(method: string, answer: Answer): boolean {
  return answer.body === null && method !== 'HEAD' && answer.status !== 304
}

function setLength(headers: HeaderList, status: number, length: number): void {
  if (status === 204 || status < 200) {
    removeLength(headers)
    return
  }
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index]!.length !== 14 || headers[index]!.toLowerCase() !== 'content-length') continue
    headers[index + 1] = String(length)
    return
  }
  headers.push('content-length', String(length))
}

/** RFC 9110 §8.6: no Content-Length on 1xx and 204. */
function removeLength(headers: HeaderList): void {
  for (let index = headers.length - 2; index >= 0; index -= 2)
    if (headers[index]!.toLowerCase() === 'content-length') headers.splice(index, 2)
}

/** Ours replace what an answer brings under the same name; two lengths in one answer become one. */
const ours: ReadonlySet<string> = new Set(['x-served-by', 'cf-ray', 'content-length'])

function responseHeaders(exchange: AcceptedExchange, answer: Answer, options: RespondOptions): HeaderList {
  const { headers } = answer
  const named = connectionNames(headers)
  const list: HeaderList = []
  let length: string | undefined
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    if (hopByHop.has(name) || named?.has(name)) continue
    if (ours.has(name)) {
      if (name === 'content-length') length = headers[index + 1]!
    } else list.push(headers[index]!, headers[index + 1]!)
  }
  if (length !== undefined && /^\d{1,15}$/.test(length)) list.push('content-length', length)
  // As at Fastly: the one nearest to the origin first.
  const served = exchange.shield === undefined ? options.pop.id : `${exchange.shield}, ${options.pop.id}`
  list.push('x-served-by', served, 'cf-ray', rayOf(exchange.id, options.pop))
  if (options.debug) addDiagnostics(list, exchange)
  return list
}

function addDiagnostics(list: HeaderList, exchange: AcceptedExchange): void {
  const parts: string[] = []
  for (const [name, time] of Object.entries(exchange.timings)) parts.push(`${name};dur=${time.toFixed(2)}`)
  if (parts.length > 0) list.push('server-timing', parts.join(', '))
  if (exchange.start !== undefined) list.push('x-rimward-start', exchange.start)
}
