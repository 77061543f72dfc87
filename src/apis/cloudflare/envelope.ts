/** The envelope around every answer: https://developers.cloudflare.com/fundamentals/api/how-to/make-api-calls/ */
import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'

interface Extra {
  readonly result_info?: object
  readonly status?: 200 | 201
  /** Hints for the person who asked, e.g. that a setting has no effect here. */
  readonly messages?: readonly string[]
}

export function ok(c: Context, result: unknown, extra: Extra = {}): Response {
  const { result_info, status = 200, messages = [] } = extra
  const said = messages.map((message) => ({ code: 0, message }))
  return c.json({ success: true, errors: [], messages: said, result, ...(result_info && { result_info }) }, status)
}

/** A failure with the vendor's number. Thrown by routes; `app.ts` turns it into the envelope. */
export class VendorError extends Error {
  readonly status: number
  readonly code: number
  readonly meta: object | undefined
  /** What the person may do about it; wrangler prints it below the message. */
  hint: string | undefined

  constructor(status: number, code: number, message: string, meta?: object) {
    super(message)
    this.name = 'VendorError'
    this.status = status
    this.code = code
    this.meta = meta
  }
}

export function fail(c: Context, error: VendorError): Response {
  const { code, message, meta, hint } = error
  const chain = hint === undefined ? undefined : { error_chain: [{ code, message: hint }] }
  return c.json(
    { success: false, errors: [{ code, message, ...(meta && { meta }), ...chain }], messages: [], result: null },
    error.status as ContentfulStatusCode,
  )
}
