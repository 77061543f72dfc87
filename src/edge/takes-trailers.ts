/** Whether a client reads what comes behind a body: RFC 9110 §6.5.1. */
import type { HeaderList } from '#/core/exchange.ts'
import { headerValues } from '#/http/header-list.ts'

/** `TE: trailers` (§10.1.4), as gRPC asks its servers too. */
export function asksForTrailers(headers: HeaderList): boolean {
  const field = headerValues(headers, 'te')
  return field !== undefined && /(?:^|,)\s*trailers\s*(?:,|$)/i.test(field)
}

/** On HTTP/2 they are frames of their own, which no client mistakes for something else. */
export function takesTrailers(request: { readonly httpVersion: string; readonly headers: HeaderList }): boolean {
  return request.httpVersion === '2' || (request.httpVersion === '1.1' && asksForTrailers(request.headers))
}
