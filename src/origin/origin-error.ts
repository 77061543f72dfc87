/** What went wrong on the way to an origin, as an `EdgeError` that names the host and the reason, not our addresses. */
import { EdgeError, type ErrorCode } from '#/core/errors.ts'

const byCode: Record<string, readonly [ErrorCode, string]> = {
  ECONNREFUSED: ['origin_refused', 'refused the connection'],
  EHOSTUNREACH: ['origin_refused', 'cannot be reached (no route to host)'],
  ENETUNREACH: ['origin_refused', 'cannot be reached (network unreachable)'],
  EADDRNOTAVAIL: ['origin_refused', 'cannot be reached (no local address is free)'],
  ETIMEDOUT: ['origin_timeout', 'did not accept the connection in time'],
  UND_ERR_CONNECT_TIMEOUT: ['origin_timeout', 'did not accept the connection in time'],
  UND_ERR_HEADERS_TIMEOUT: ['origin_timeout', 'sent no answer in time'],
  UND_ERR_BODY_TIMEOUT: ['origin_timeout', 'stopped sending in the middle of its answer'],
  ECONNRESET: ['origin_failed', 'reset the connection'],
  EPIPE: ['origin_failed', 'closed the connection while the request was being sent'],
  UND_ERR_SOCKET: ['origin_failed', 'closed the connection before its answer was complete'],
  UND_ERR_HEADERS_OVERFLOW: ['origin_failed', 'sent more header fields than are accepted'],
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: ['origin_failed', 'sent a body that is not as long as its Content-Length says'],
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: [
    'bad_request',
    'could not be sent the request: its body is not as long as its Content-Length says',
  ],
  UND_ERR_INVALID_ARG: ['bad_request', 'could not be sent the request: a method, path or header field is malformed'],
  UND_ERR_NOT_SUPPORTED: ['bad_request', 'could not be sent the request: a header field is not supported'],
}

/** `host` is the name as the requester wrote it. */
export function toOriginError(thrown: unknown, host: string): EdgeError {
  if (thrown instanceof EdgeError) return thrown
  const error = firstFailure(thrown)
  const known = byCode[error.code ?? '']
  if (known !== undefined) return new EdgeError(known[0], `${host} ${known[1]}.`, { cause: thrown })
  if (isCertificateError(error.code))
    return new EdgeError('origin_failed', `The certificate of ${host} is not trusted (${error.code}).`, {
      cause: thrown,
    })
  if (error.code?.startsWith('ERR_SSL_') || error.code === 'EPROTO')
    return new EdgeError('origin_failed', `No TLS connection to ${host} could be made (${error.code}).`, {
      cause: thrown,
    })
  if (error.code?.startsWith('HPE_'))
    return new EdgeError('origin_failed', `${host} does not speak correct HTTP (${error.code}).`, { cause: thrown })
  return new EdgeError('origin_failed', `The request to ${host} failed.`, { cause: thrown })
}

/** Several addresses failed: the first failure that is not «this machine has no such network» tells most. */
export function firstFailure(thrown: unknown): NodeJS.ErrnoException {
  if (!(thrown instanceof AggregateError)) return thrown as NodeJS.ErrnoException
  const errors = thrown.errors as NodeJS.ErrnoException[]
  return errors.find((error) => error.code !== 'ENETUNREACH') ?? errors[0] ?? thrown
}

/** Codes of X509_verify_cert and of the name check, as Node names them. */
function isCertificateError(code: string | undefined): boolean {
  return code !== undefined && /CERT|SELF_SIGNED|UNABLE_TO_|CRL|ERR_TLS_/.test(code)
}
