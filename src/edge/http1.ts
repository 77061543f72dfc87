/**
 * HTTP/1 by node:http: requests become exchanges, and what its parser or our rules refuse gets its answer and log line.
 */
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import { AcceptedExchange, type Connection, noHead } from './accepted.ts'
import type { Front } from './front.ts'
import { Http1Reply } from './http1-reply.ts'
import { RawReply } from './raw-reply.ts'
import { type Head, readHead } from './read-head.ts'
import type { Reply } from './reply.ts'
import { createRequestBody, type RequestBody } from './request-body.ts'

/** A server without a listening socket of its own: listeners hand it connections by `emit('connection', socket)`. */
export function createHttp1(front: Front): Server {
  const { limits } = front
  const server = createServer({
    maxHeaderSize: limits.headerBytes + limits.urlBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.max(10, Math.min(1_000, limits.headersTimeoutMs / 4)),
    requireHostHeader: false,
    insecureHTTPParser: false,
    optimizeEmptyRequests: true,
    noDelay: true,
    shouldUpgradeCallback: (request: IncomingMessage) => mayUpgrade(front, request),
  })
  // One more than allowed, so that a list cut off by Node is still seen to be too long.
  server.maxHeadersCount = limits.headerCount + 1
  server.on('request', (request, response) => accept(front, request, response))
  server.on('checkContinue', (request, response) => accept(front, request, response, { continues: true }))
  server.on('checkExpectation', (request, response) =>
    accept(front, request, response, {
      refusal: new EdgeError('expectation_failed', 'The only expectation understood is `100-continue`.'),
    }),
  )
  server.on('upgrade', (request, socket, head) => acceptUpgrade(front, request, socket, head))
  server.on('connect', (request, socket, head) => acceptUpgrade(front, request, socket, head))
  server.on('clientError', (error, socket) => refuseUnparsed(front, error, socket))
  server.on('timeout', (socket) => onIdle(front, socket))
  // Node starts its check for slow heads when the server listens; this one never does by itself.
  server.emit('listening')
  return server
}

interface AcceptOptions {
  readonly continues?: boolean
  readonly refusal?: EdgeError
  readonly upgradeHead?: Buffer
}

function accept(front: Front, request: IncomingMessage, response: ServerResponse, options?: AcceptOptions): void {
  const connection = front.connectionOf(request.socket)
  if (connection === undefined) return void request.socket.destroy()
  // Behind a refused request nothing is a request: this is how one is smuggled. The refusal's answer ends the connection.
  if (connection.ending || request.socket.writableEnded) return
  const { httpVersion, rawHeaders, method = '', url = '' } = request
  const read =
    options?.refusal ??
    readHead({ method, target: url, httpVersion, scheme: connection.scheme, headers: rawHeaders }, front.limits)
  const refusal = read instanceof EdgeError ? read : busy(front, connection)
  const head = read instanceof EdgeError ? { ...noHead, path: url } : read
  const upgrade = options?.upgradeHead && { connection, head: options.upgradeHead }
  const reply = new Http1Reply(response, front.limits, upgrade)
  const onStart = options?.continues ? () => response.writeContinue() : undefined
  const exchange = new AcceptedExchange(connection, {
    startedAt: front.clock(),
    startedTick: performance.now(),
    method,
    httpVersion: httpVersion === '1.0' ? '1.0' : '1.1',
    headers: rawHeaders,
    head,
    body:
      refusal === undefined && head.hasBody
        ? bodyOf(front, request, head, { onStart, onFail: (error) => failExchange(exchange, reply, error) })
        : null,
  })
  if (refusal !== undefined) {
    connection.ending = true
    front.refuse(exchange, reply, refusal)
  } else {
    connection.live.push(exchange)
    front.serve(exchange, reply)
  }
}

interface BodyHooks {
  readonly onStart: (() => void) | undefined
  onFail(error: EdgeError): void
}

function bodyOf(front: Front, request: IncomingMessage, head: Head, hooks: BodyHooks): RequestBody {
  const { socket } = request
  return createRequestBody(request, {
    declaredBytes: head.contentLength,
    limitBytes: front.limits.requestBodyBytes,
    onWait: (waiting) => socket.setTimeout(waiting ? front.limits.bodyIdleTimeoutMs : 0),
    onFail: hooks.onFail,
    ...(hooks.onStart && { onStart: hooks.onStart }),
  })
}

/** After this the exchange ends in an error page, or in a cut when its answer has begun. */
function failExchange(exchange: AcceptedExchange, reply: Reply, error: EdgeError): void {
  reply.closeAfter()
  exchange.fail(error)
  if (reply.headSent) reply.cut()
}

/** Pipelined requests run side by side, as many as HTTP/2 would have streams. */
function busy(front: Front, connection: Connection): EdgeError | undefined {
  if (connection.live.length < front.limits.streamsPerConnection) return undefined
  return new EdgeError('overloaded', 'Too many requests at once on this connection.')
}

/** Only WebSocket, on a head that passes, and never behind an answer that is still to be sent on the same connection. */
function mayUpgrade(front: Front, request: IncomingMessage): boolean {
  const connection = front.connectionOf(request.socket)
  if (connection === undefined || connection.ending || connection.live.length > 0) return false
  const { httpVersion, rawHeaders, method = '', url = '' } = request
  const head = readHead(
    { method, target: url, httpVersion, scheme: connection.scheme, headers: rawHeaders },
    front.limits,
  )
  return !(head instanceof EdgeError) && head.wantsUpgrade && !head.hasBody
}

/** Node lets go of the socket here: the answer is written by a response of our own, and the connection ends with it. */
function acceptUpgrade(front: Front, request: IncomingMessage, stream: Duplex, head: Buffer): void {
  const socket = stream as Socket
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  socket.on('error', () => socket.destroy())
  socket.on('timeout', () => socket.destroy())
  response.on('finish', () => {
    response.detachSocket(socket)
    // With a body still to come, Node hands over a wrapper; the socket itself is the request's.
    request.socket.destroySoon()
  })
  response.assignSocket(socket)
  accept(front, request, response, { upgradeHead: head })
}

const parserFailures: Record<string, (detail: string) => EdgeError> = {
  HPE_HEADER_OVERFLOW: () => new EdgeError('headers_too_large', 'The request head is too large.'),
  ERR_HTTP_REQUEST_TIMEOUT: () => new EdgeError('client_timeout', 'The request head did not arrive in time.'),
}

/** What the parser refused has no exchange yet; errors of the connection itself are no request and leave no line. */
function refuseUnparsed(front: Front, error: Error & { code?: string; reason?: string }, stream: Duplex): void {
  const socket = stream as Socket
  const connection = front.connectionOf(socket)
  const code = error.code ?? ''
  const parsed = code.startsWith('HPE_') || code === 'ERR_HTTP_REQUEST_TIMEOUT'
  if (!parsed || connection === undefined || !socket.writable) return void socket.destroy()
  if (connection.live.length > 0) return void endAfterLive(connection, socket)
  // What follows a request that asked to close is not looked at.
  if (connection.ending || code === 'HPE_CLOSED_CONNECTION') return
  // A connection that was opened, said nothing and timed out is no request either.
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket.bytesRead === 0) return void socket.destroy()
  const detail = error.reason ?? 'it does not follow the grammar'
  const refusal =
    parserFailures[code]?.(detail) ?? new EdgeError('bad_request', `The request cannot be parsed: ${detail}.`)
  const exchange = new AcceptedExchange(connection, {
    startedAt: front.clock(),
    startedTick: performance.now(),
    method: '',
    httpVersion: '1.1',
    headers: [],
    head: noHead,
    body: null,
  })
  front.refuse(exchange, new RawReply(socket), refusal)
}

/**
 * Bytes that cannot be parsed arrived while an exchange is live: inside its body they fail it; behind it they are dropped,
 * and its answer is the last one.
 */
function endAfterLive(connection: Connection, socket: Socket): void {
  connection.ending = true
  const inBody = connection.live.filter((exchange) => exchange.requestBody?.complete === false)
  for (const exchange of inBody) exchange.fail(new EdgeError('bad_request', 'The request body is malformed.'))
  if (inBody.length > 0) socket.destroy()
  const last = connection.live.at(-1)
  if (last !== undefined) last.isLast = true
}

function onIdle(front: Front, socket: Socket): void {
  const connection = front.connectionOf(socket)
  const waiting = connection?.live.find((exchange) => exchange.requestBody?.waiting === true)
  if (waiting === undefined) return void socket.destroy()
  waiting.requestBody?.timeOut()
}
