/** May a request whose answer never began be sent again? Pure. */
import { Readable } from 'node:stream'
import type { EdgeError } from '#/core/errors.ts'
import type { Body } from '#/core/exchange.ts'
import { firstFailure } from './origin-error.ts'

export interface Failed {
  readonly method: string
  readonly body: Body
}

/** RFC 9110 §9.2.2. */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/** Sent twice it does what it does once, and there is no stream that was read already. */
function isRepeatable({ method, body }: Failed): boolean {
  return idempotent.has(method) && !(body instanceof Readable)
}

/** At another origin: what never left here whatever it is, else only what is repeatable. RFC 9110 §9.2.2. */
export function mayTryAnother(error: EdgeError, request: Failed): boolean {
  if (!error.code.startsWith('origin_') && error.code !== 'overloaded') return false
  return wasNothingSent(error) || isRepeatable(request)
}

/** At the same origin: a kept connection that the origin had closed already. RFC 9112 §9.3.1. */
export function mayTryAgain(error: EdgeError, request: Failed): boolean {
  return error.code === 'origin_failed' && isRepeatable(request) && wasKeptConnection(error.cause)
}

/** No connection was made, so nothing of the request was sent. */
export function wasNothingSent(error: EdgeError): boolean {
  // `overloaded`: this origin has as many requests in flight as it may.
  if (error.code === 'origin_unresolved' || error.code === 'overloaded') return true
  const cause = error.cause === undefined ? undefined : firstFailure(error.cause)
  return cause !== undefined && (cause.syscall === 'connect' || cause.code === 'UND_ERR_CONNECT_TIMEOUT')
}

const hungUp: ReadonlySet<string | undefined> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])

/** Closed by the other side, after something had been read on it where that is known: not its first request. */
function wasKeptConnection(thrown: unknown): boolean {
  const cause = thrown as {
    readonly code?: string
    readonly syscall?: string
    readonly socket?: { bytesRead?: number }
  }
  if (thrown === undefined || !hungUp.has(cause.code) || cause.syscall === 'connect') return false
  return cause.socket?.bytesRead !== 0
}
