/** Fastly's error envelope `{msg, detail}`: https://www.fastly.com/documentation/reference/api/#error-responses */
import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { Refusal, type RefusalCode } from '#/control/refusal.ts'
import { EdgeError } from '#/core/errors.ts'

/** Thrown by routes; `app.ts` turns it into the envelope. */
export class FastlyError extends Error {
  readonly status: number
  readonly title: string

  /** `detail` names what is wrong, in one sentence. */
  constructor(status: number, title: string, detail: string) {
    super(detail)
    this.name = 'FastlyError'
    this.status = status
    this.title = title
  }
}

export function badRequest(detail: string): FastlyError {
  return new FastlyError(400, 'Bad request', detail)
}

export function notFound(detail: string): FastlyError {
  return new FastlyError(404, 'Record not found', detail)
}

/** What this platform does not do, by name. */
export function unsupported(what: string): FastlyError {
  return new FastlyError(400, 'Bad request', `${what} not supported by Rimward.`)
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad request',
  404: 'Record not found',
  409: 'Duplicate record',
  422: 'Bad request',
}

/** Words of `control` that this door can meet; the others belong to programs and are told as a bad request. */
const statuses: Partial<Record<RefusalCode, number>> = {
  no_service: 404,
  no_version: 404,
  no_resource: 404,
  name_taken: 409,
  no_part: 404,
  name_twice: 409,
  address_taken: 409,
  conflict: 409,
  canary_failed: 409,
  version_locked: 422,
  bad_rule: 400,
  does_not_start: 400,
}

/** `undefined` for a bug, which is logged. */
export function toFastlyError(thrown: unknown): FastlyError | undefined {
  if (thrown instanceof FastlyError) return thrown
  if (thrown instanceof Refusal) {
    const status = statuses[thrown.code] ?? 400
    return new FastlyError(status, titles[status]!, thrown.message)
  }
  if (thrown instanceof EdgeError && thrown.code !== 'internal')
    return new FastlyError(thrown.row.status, thrown.row.title, thrown.message)
  return undefined
}

export function fail(c: Context, { status, title, message }: FastlyError): Response {
  return c.json({ msg: title, detail: message }, status as ContentfulStatusCode)
}
