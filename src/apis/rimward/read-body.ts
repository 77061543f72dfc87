/** The body of a call to our own door. */
import type { HonoRequest } from 'hono'
import type { z } from 'zod'
import { Problem } from './problem.ts'

/** Throws a `Problem` that names the first field that is wrong. */
export async function readBody<Schema extends z.ZodType>(
  request: HonoRequest,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const body = await request.json().catch(() => {
    throw new Problem('bad_request', 'The body is not JSON.')
  })
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  throw new Problem('bad_request', `${issue.path.length > 0 ? issue.path.join('.') : 'The body'}: ${issue.message}`)
}
