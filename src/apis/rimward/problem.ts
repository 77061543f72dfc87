/** Errors of our own API: `{error: {code, message}}`, the message being one sentence for a person. */
import type { Context } from 'hono'

const statuses = {
  bad_request: 400,
  unauthorized: 401,
  not_found: 404,
  conflict: 409,
  body_too_large: 413,
  too_many_readers: 429,
  internal: 500,
} as const

export type ProblemCode = keyof typeof statuses

/** Thrown by a route; `app.ts` answers with it. */
export class Problem extends Error {
  readonly code: ProblemCode

  constructor(code: ProblemCode, message: string) {
    super(message)
    this.name = 'Problem'
    this.code = code
  }
}

export function problemResponse(c: Context, code: ProblemCode, message: string): Response {
  return c.json({ error: { code, message } }, statuses[code])
}
