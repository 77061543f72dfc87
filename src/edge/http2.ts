/**
 * HTTP/2 by node:http2, over TLS or by prior knowledge.
 */
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import { headerValue } from '#/http/header-list.ts'
import { AcceptedExchange, type Connection, clientGone, noHead } from './accepted.ts'
import type { Front } from './front.ts'
import { Http2Reply } from './http2-reply.ts'
import { readHttp2Head } from './read-head.ts'
import { createRequestBody } from './request-body.ts'

export interface Http2 {
  /** Speaks HTTP/2 on a socket from whose preface nothing is read, or whose first bytes were put back. */
  adopt(socket: Socket, connection: Connection): void
}

export function createHttp2(front: Front): Http2 {
  const { limits } = front
  const server = createServer({
    settings: {
      maxConcurrentStreams: limits.streamsPerConnection,
      maxHeaderListSize: limits.headerBytes + limits.urlBytes,
      enableConnectProtocol: false,
      initialWindowSize: 1 << 18,
    },
    maxHeaderListPairs: limits.headerCount + 8,
    maxSessionInvalidFrames: 100,
    maxSettings: 16,
    // RFC 9113 §10.5 and CVE-2023-44487: a client that opens and resets faster than this is cut.
    streamResetBurst: 200,
    streamResetRate: 33,
    maxSessionMemory: 16,
  })
  // A session shows only a proxy of its socket; it is made while the socket is handed over, so that tells whose it is.
  let handedOver: Connection | undefined
  server.on('session', (session) => {
    if (handedOver === undefined) session.destroy()
    else watchSession(front, session, handedOver)
  })
  return {
    adopt(socket, connection) {
      handedOver = connection
      server.emit('connection', socket)
      handedOver = undefined
    },
  }
}

function watchSession(front: Front, session: ServerHttp2Session, connection: Connection): void {
  connection.endGracefully = () => session.close()
  session.on('error', () => {})
  session.setTimeout(front.limits.keepAliveTimeoutMs, () => {
    if (connection.live.length === 0) session.close()
    else session.setTimeout(front.limits.keepAliveTimeoutMs)
  })
  session.on('stream', (stream: ServerHttp2Stream, _headers: object, flags: number, raw: string[]) =>
    accept(front, connection, stream, raw, { ended: (flags & 1) === 1 }),
  )
}

function accept(
  front: Front,
  connection: Connection,
  stream: ServerHttp2Stream,
  raw: readonly string[],
  { ended }: { readonly ended: boolean },
): void {
  const { pseudo, headers } = splitPseudo(raw)
  const expect = headerValue(headers, 'expect')?.toLowerCase()
  const read =
    expect === undefined || expect === '100-continue'
      ? readHttp2Head(pseudo, headers, front.limits, ended)
      : new EdgeError('expectation_failed', 'The only expectation understood is `100-continue`.')
  const refused = read instanceof EdgeError
  const head = refused ? { ...noHead, path: pseudo.path } : read
  const reply = new Http2Reply(stream, front.limits)
  const body =
    refused || !head.hasBody
      ? null
      : createRequestBody(stream, {
          declaredBytes: head.contentLength,
          limitBytes: front.limits.requestBodyBytes,
          onStart: () => {
            if (expect !== undefined) reply.informational(100, [])
          },
          onWait: (waiting) => {
            if (!stream.destroyed) stream.setTimeout(waiting ? front.limits.bodyIdleTimeoutMs : 0)
          },
          onFail: (error) => {
            reply.closeAfter()
            exchange.fail(error)
            if (reply.headSent) reply.cut()
          },
        })
  const exchange = new AcceptedExchange(connection, {
    startedAt: front.clock(),
    startedTick: performance.now(),
    method: pseudo.method,
    httpVersion: '2',
    headers,
    head,
    body,
  })
  // Before anything else: a stream whose error nobody hears ends the process.
  stream.on('error', () => {})
  stream.on('close', () => {
    // A reset stream counts as finished in Node; an exchange that is still live was not.
    if (connection.live.includes(exchange)) exchange.fail(clientGone())
  })
  if (body !== null)
    stream.on('timeout', () => {
      if (body.waiting) body.timeOut()
    })
  if (refused) front.refuse(exchange, reply, read)
  else {
    connection.live.push(exchange)
    front.serve(exchange, reply)
  }
}

interface Pseudo {
  method: string
  scheme: string
  authority: string | undefined
  path: string
}

/** Separates pseudo-fields; cookies that HTTP/2 splits are joined again (RFC 9113 §8.2.3). */
function splitPseudo(raw: readonly string[]): { pseudo: Pseudo; headers: HeaderList } {
  const pseudo: Pseudo = { method: '', scheme: '', authority: undefined, path: '' }
  const headers: HeaderList = []
  let cookie = -1
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]!
    const value = raw[index + 1]!
    if (name.charCodeAt(0) === 58) {
      if (name === ':method') pseudo.method = value
      else if (name === ':path') pseudo.path = value
      else if (name === ':authority') pseudo.authority = value
      else if (name === ':scheme') pseudo.scheme = value
    } else if (name === 'cookie' && cookie !== -1) {
      headers[cookie] += `; ${value}`
    } else {
      headers.push(name, value)
      if (name === 'cookie') cookie = headers.length - 1
    }
  }
  return { pseudo, headers }
}
