/** What went wrong on the way to a backend, in the words of `send_error_detail`. */
import { toEdgeError } from '#/core/errors.ts'
import type { SendErrorTag } from './fetch-protocol.ts'

export interface SendFailureWords {
  readonly failed: SendErrorTag
  readonly message: string
  readonly tlsAlert?: number
}

/** By the code of what is behind an `EdgeError`: Node's, OpenSSL's, the HTTP client's. */
const byCause: Readonly<Record<string, SendErrorTag>> = {
  ECONNREFUSED: 'connectionRefused',
  EHOSTUNREACH: 'destinationIpUnroutable',
  ENETUNREACH: 'destinationIpUnroutable',
  ETIMEDOUT: 'connectionTimeout',
  UND_ERR_CONNECT_TIMEOUT: 'connectionTimeout',
  UND_ERR_HEADERS_TIMEOUT: 'httpResponseTimeout',
  UND_ERR_BODY_TIMEOUT: 'httpResponseTimeout',
  ECONNRESET: 'connectionTerminated',
  EPIPE: 'connectionTerminated',
  UND_ERR_SOCKET: 'connectionTerminated',
  UND_ERR_HEADERS_OVERFLOW: 'httpResponseHeaderSectionTooLarge',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'httpIncompleteResponse',
  HPE_INVALID_STATUS: 'httpResponseStatusInvalid',
  EPROTO: 'tlsProtocolError',
}

const byCode: Readonly<Record<string, SendErrorTag>> = {
  origin_unresolved: 'dnsError',
  origin_refused: 'connectionRefused',
  origin_timeout: 'connectionTimeout',
  origin_unhealthy: 'destinationUnavailable',
  overloaded: 'connectionLimitReached',
  egress_refused: 'destinationIpUnroutable',
  program_loop: 'destinationUnavailable',
  not_found: 'destinationNotFound',
  bad_request: 'httpRequestUriInvalid',
  origin_failed: 'httpProtocolError',
}

export function toSendFailure(thrown: unknown): SendFailureWords {
  const error = toEdgeError(thrown)
  const { message } = error
  const cause = codeOf(error.cause)
  if (error.code === 'origin_unresolved' && message.includes('within')) return { failed: 'dnsTimeout', message }
  const known = cause === undefined ? undefined : byCause[cause]
  if (known !== undefined) return { failed: known, message }
  if (cause !== undefined && /^ERR_SSL_.*ALERT/.test(cause)) return { failed: 'tlsAlertReceived', message }
  if (cause?.startsWith('ERR_SSL_') === true) return { failed: 'tlsProtocolError', message }
  if (cause !== undefined && /CERT|SELF_SIGNED|UNABLE_TO_|CRL|ERR_TLS_/.test(cause))
    return { failed: 'tlsCertificateError', message }
  return { failed: byCode[error.code] ?? 'internalError', message }
}

/** Of several failed addresses, the first one's that is not «this machine has no such network». */
function codeOf(cause: unknown): string | undefined {
  if (!(cause instanceof AggregateError)) return (cause as NodeJS.ErrnoException | undefined)?.code
  const codes = (cause.errors as NodeJS.ErrnoException[]).map(({ code }) => code)
  return codes.find((code) => code !== 'ENETUNREACH') ?? codes[0]
}
