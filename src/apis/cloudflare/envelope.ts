/** Cloudflare's answer envelope. Source: developers.cloudflare.com/fundamentals/api/how-to/make-api-calls. */
import type { Context } from 'hono'

/** A failure as the vendor's clients expect it: HTTP status, the vendor's number, one sentence. */
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

/** `{success: true, errors: [], messages: [], result}` */
export function ok(
  c: Context,
  result: unknown,
  extra: { readonly result_info?: object; readonly status?: 200 | 201 } = {},
): Response {
  const { status = 200, ...rest } = extra
  return c.json({ success: true, errors: [], messages: [], result, ...rest }, status)
}
