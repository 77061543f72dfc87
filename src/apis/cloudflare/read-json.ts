/** JSON bodies, read by path and never by type: wrangler sends some as text/plain. */
import type { Context } from 'hono'
import { z } from 'zod'
import { doorError } from './errors.ts'
import { firstIssue } from './wire-bindings.ts'

/** Throws a `VendorError` when the body is too large, not JSON, or does not fit. */
export async function readJson<Schema extends z.ZodType>(
  c: Context,
  schema: Schema,
  limitBytes: number,
): Promise<z.infer<Schema>> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of c.req.raw.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > limitBytes) throw doorError('tooLarge', `The body is larger than ${limitBytes} bytes.`)
    chunks.push(chunk)
  }
  let value: unknown
  try {
    value = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (error) {
    throw doorError('badRequest', `The body is not JSON: ${(error as Error).message}.`)
  }
  const read = schema.safeParse(value)
  if (read.success) return read.data
  const issue = read.error.issues[0]!
  if (issue.code === 'unrecognized_keys')
    throw doorError('unsupported', `Field '${[...issue.path, issue.keys[0]].join('.')}' is not supported by Rimward.`)
  throw doorError('badRequest', `The body does not fit: ${firstIssue(read.error)}.`)
}

/** Annotations of versions and deployments that a person can set. */
export const annotations = z
  .strictObject({
    'workers/message': z.string().max(1000).optional(),
    'workers/tag': z.string().max(100).optional(),
    'workers/triggered_by': z.string().max(100).optional(),
  })
  .default({})
