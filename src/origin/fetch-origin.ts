/** One request to one origin: undici's dispatch calls on one side, an `Answer` with a stream on the other. */
import { isIP } from 'node:net'
import { type Duplex, Readable } from 'node:stream'
import { type Dispatcher, errors } from 'undici'
import { EdgeError } from '#/core/errors.ts'
import type { Answer, Body, HeaderList } from '#/core/exchange.ts'
import type { EgressAnswer } from '#/core/ports.ts'
import { setTrailers } from '#/core/trailers.ts'
import type { Destination } from './destination.ts'
import { fieldOf, fromOriginFields, fromOriginTrailers } from './header-fields.ts'
import { lendBody } from './lend-body.ts'
import { toOriginError } from './origin-error.ts'
import type { OriginPool } from './origin-pools.ts'

export interface OriginRequest {
  readonly method: string
  readonly destination: Destination
  /** As they are to be sent; with `host`. */
  readonly headers: HeaderList
  readonly body: Body
  /** Protocol to switch to (`websocket`). */
  readonly upgrade: string | undefined
  readonly signal: AbortSignal
  /** Longest wait for a connection, in milliseconds. */
  readonly connectMs: number
  /** Server name of TLS instead of the URL's host. */
  readonly sniHostname: string | undefined
  /** Who will answer, where there is one address only. */
  readonly origin: { readonly address: string; readonly port: number } | undefined
  readonly onInformational: ((status: number, headers: HeaderList) => void) | undefined
}

/** Resolves at the head of the final answer. Rejects with an `EdgeError`; later failures destroy the body with one. */
export function fetchOrigin(origin: OriginPool, request: OriginRequest): Promise<EgressAnswer> {
  return new Promise((resolve, reject) => {
    const { destination, signal } = request
    const body = request.body instanceof Readable ? lendBody(request.body) : request.body
    const call = createCall(origin, { ...request, body }, { resolve, reject })
    if (signal.aborted) {
      call.abandon()
      return
    }
    signal.addEventListener('abort', call.abandon, { once: true })
    const serverName = request.sniHostname ?? destination.host
    const options = {
      method: request.method,
      path: destination.path,
      headers: request.headers,
      body,
      upgrade: request.upgrade ?? null,
      // SNI and the name in the certificate are the URL's, whatever Host says; an address has no name but Host's.
      ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    }
    try {
      origin.pool.dispatch(options, call.handler)
    } catch (error) {
      call.fail(error)
    }
  })
}

interface Outcome {
  resolve(answer: EgressAnswer): void
  reject(error: EdgeError): void
}

function createCall(origin: OriginPool, request: OriginRequest, outcome: Outcome) {
  const { host } = request.destination
  let controller: Dispatcher.DispatchController | undefined
  let incoming: Readable | undefined
  let settled = false
  let over = false

  // Waiting for a free connection, or for a new one, before the request is written.
  const waiting = setTimeout(() => {
    const cause = new errors.ConnectTimeoutError('waited for a connection')
    fail(new EdgeError('origin_timeout', `No connection to ${host} was free in time.`, { cause }))
  }, request.connectMs)

  /** True the first time: the exchange with the origin was still going on. */
  function end(): boolean {
    if (over) return false
    over = true
    clearTimeout(waiting)
    request.signal.removeEventListener('abort', abandon)
    origin.release()
    return true
  }

  function answer(value: Answer): void {
    settled = true
    outcome.resolve(request.origin === undefined ? value : Object.assign(value, { origin: request.origin }))
  }

  function fail(thrown: unknown): void {
    const error = toOriginError(thrown, host)
    end()
    if (!settled) {
      settled = true
      outcome.reject(error)
      if (request.body instanceof Readable) request.body.destroy()
    }
    incoming?.destroy(error)
    controller?.abort(error)
  }

  function abandon(): void {
    fail(new EdgeError('client_gone', `The request to ${host} was given up before it was answered.`))
  }

  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(started) {
      controller = started
      clearTimeout(waiting)
      if (over) started.abort(new EdgeError('client_gone', `The request to ${host} was given up.`))
    },
    onResponseStart(started, status, _fields, statusText) {
      if (status < 100 || status > 599) {
        fail(new EdgeError('origin_failed', `${host} answered with status ${status}, which HTTP does not have.`))
        return
      }
      // 103 and other interim answers (RFC 9110 §15.2): the final one follows.
      if (status < 200) {
        request.onInformational?.(status, fromOriginFields(started.rawHeaders))
        return
      }
      const headers = fromOriginFields(started.rawHeaders)
      if (!hasBody(request.method, status, headers)) {
        answer({ status, statusText: statusText ?? '', headers, body: null })
        return
      }
      incoming = createBody(started, end)
      answer({ status, statusText: statusText ?? '', headers, body: incoming })
    },
    onResponseData(started, chunk) {
      if (incoming !== undefined && !incoming.push(chunk)) started.pause()
    },
    onResponseEnd(ended) {
      end()
      if (incoming === undefined) return
      const trailers = fromOriginTrailers(ended.rawTrailers)
      if (trailers.length > 0) setTrailers(incoming, trailers)
      incoming.push(null)
    },
    onResponseError(_started, error) {
      fail(error)
    },
    onRequestUpgrade(started, status, _fields, socket) {
      const agreed = fieldOf(bufferFields(started.rawHeaders), 'upgrade')
      if (agreed?.toLowerCase() !== request.upgrade) {
        socket.destroy()
        fail(new EdgeError('origin_failed', `${host} switched to another protocol than the one asked for.`))
        return
      }
      holdUntilClosed(socket, request.signal, end)
      answer({ status, headers: fromOriginFields(started.rawHeaders), body: null, upgraded: socket })
    },
  }
  return { handler, fail, abandon }
}

/** RFC 9110 §6.4.1. A body that is known to be empty is none: with `grpc-status` in its head a gRPC answer has no more. */
function hasBody(method: string, status: number, headers: HeaderList): boolean {
  if (method === 'HEAD' || status === 204 || status === 304) return false
  return fieldOf(headers, 'content-length') !== '0' && fieldOf(headers, 'grpc-status') === undefined
}

/** Reads on when the consumer does; ends the exchange with the origin when the consumer goes away. */
function createBody(controller: Dispatcher.DispatchController, end: () => boolean): Readable {
  return new Readable({
    read() {
      controller.resume()
    },
    destroy(error, callback) {
      if (end()) controller.abort(error ?? new Error('the body was not read to its end'))
      callback(error)
    },
  })
}

/** The connection counts as in flight until it closes, and closes when the exchange is aborted. */
function holdUntilClosed(socket: Duplex, signal: AbortSignal, end: () => void): void {
  const hangUp = () => socket.destroy()
  signal.addEventListener('abort', hangUp, { once: true })
  // A reset may come before whoever takes the connection over listens for it.
  socket.on('error', () => {})
  socket.once('close', () => {
    signal.removeEventListener('abort', hangUp)
    end()
  })
}

function bufferFields(raw: unknown): HeaderList {
  return Array.isArray(raw) ? (raw as (Buffer | string)[]).map(String) : []
}
