/** Cloudflare's envelope around every answer of its API: `{success, errors, messages, result}`. */
import type { Context } from 'hono'

/** A success; `result_info` carries pages and cursors. */
export function ok(c: Context, result: unknown, extra: { result_info?: object; status?: 200 | 201 } = {}): Response {
  const { result_info, status = 200 } = extra
  return c.json({ success: true, errors: [], messages: [], result, ...(result_info && { result_info }) }, status)
}

/** A refusal in the vendor's words; the API's `onError` turns it into the envelope. */
export class VendorError extends Error {
  readonly status: number
  readonly code: number
  readonly meta: object | undefined

  constructor(status: number, code: number, message: string, meta?: object) {
    super(message)
    this.name = 'VendorError'
    this.status = status
    this.code = code
    this.meta = meta
  }
}
