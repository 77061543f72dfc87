/** Errors of our own API: RFC 9457 problem details. */
import type { Context } from 'hono'

/** Thrown by a route; `app.ts` turns it into a problem document. `detail` is one sentence that says what is wrong and where. */
export class Problem extends Error {
  readonly status: 400 | 401 | 404 | 405 | 409 | 413 | 429 | 500 | 503

  constructor(status: Problem['status'], detail: string) {
    super(detail)
    this.name = 'Problem'
    this.status = status
  }
}

const titles: Record<Problem['status'], string> = {
  400: 'Bad request',
  401: 'Unauthorized',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  413: 'Body too large',
  429: 'Too many requests',
  500: 'Internal error',
  503: 'Not ready',
}

/** The problem document for a status: `{title, status, detail}` as `application/problem+json` (RFC 9457 §3). */
export function problemResponse(c: Context, status: Problem['status'], detail: string): Response {
  return c.json({ title: titles[status], status, detail }, status, { 'content-type': 'application/problem+json' })
}
