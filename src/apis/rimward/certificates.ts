/** `/rimward/v1/certificates`, `/tls` and `/acme`: what serves TLS, uploads, and orders from an ACME authority. */
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { z } from 'zod'
import type { CertificateRecord } from '#/control/certificates/certificate-store.ts'
import type { CertificateBook } from '#/control/certificates/certificates.ts'
import { EdgeError, toEdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'

export interface CertificateRoutesOptions {
  readonly certificates: CertificateBook
  readonly limits: Limits
}

const uploadSchema = z.strictObject({
  /** PEM, leaf first. */
  chain: z.string().min(1),
  /** PEM, not encrypted. */
  key: z.string().min(1),
})

const acmeSchema = z.strictObject({
  directoryUrl: z.string().min(1),
  email: z.string().min(1),
  hostnames: z.array(z.string().min(1)).min(1),
  termsAgreed: z.boolean(),
  externalAccount: z.strictObject({ keyId: z.string().min(1), hmacKey: z.string().min(1) }).optional(),
})

/**
 * Paths begin at `/rimward/v1`. Failures are `{error: {code, message}}` with the status of the error's row. The caller
 * has been authenticated.
 */
export function certificateRoutes({ certificates, limits }: CertificateRoutesOptions): Hono {
  const app = new Hono()
  // JSON writes each line end of PEM with two characters; 256 bytes are the longest host name.
  const maxSize = Math.max(limits.certificateBytes * 2, limits.acmeHostnames * 300)
  const limited = bodyLimit({
    maxSize,
    onError: () => {
      throw new EdgeError('body_too_large', `The body is longer than ${maxSize} bytes.`)
    },
  })

  app.onError((thrown, c) => {
    const error = toEdgeError(thrown)
    return c.json({ error: { code: error.code, message: error.message } }, error.row.status as 400)
  })

  app.get('/certificates', (c) => c.json({ certificates: certificates.list().map(present) }))

  app.post('/certificates', limited, async (c) => {
    const record = await certificates.upload(readJson(await c.req.text(), uploadSchema))
    return c.json(present(record), 201)
  })

  app.delete('/certificates/:id', async (c) => {
    const id = c.req.param('id')
    if (!(await certificates.remove(id))) throw new EdgeError('not_found', `There is no certificate ${id}.`)
    return c.body(null, 204)
  })

  app.get('/tls', async (c) => {
    const { certificates: count, localAuthority: local } = await certificates.status()
    return c.json({ certificates: count, localAuthority: { ...local, notAfter: dateOf(local.notAfter) } })
  })

  app.get('/acme', async (c) => {
    const { acme } = await certificates.status()
    if (acme === undefined) return c.json({ configured: false })
    const hostnames = acme.hostnames.map((host) => ({
      hostname: host.hostname,
      state: host.state,
      notAfter: host.notAfter === undefined ? null : dateOf(host.notAfter),
      /** Null: as soon as possible. */
      nextAttemptAt: host.nextAttemptAt === 0 ? null : dateOf(host.nextAttemptAt),
      failure: host.failure === undefined ? null : { ...host.failure, at: dateOf(host.failure.at) },
    }))
    return c.json({ configured: true, directoryUrl: acme.directoryUrl, email: acme.email, hostnames })
  })

  app.put('/acme', limited, async (c) => {
    const { externalAccount, ...settings } = readJson(await c.req.text(), acmeSchema)
    await certificates.configureAcme({ ...settings, ...(externalAccount === undefined ? {} : { externalAccount }) })
    return c.json({ configured: true }, 202)
  })

  app.delete('/acme', async (c) => {
    if (!(await certificates.disableAcme())) throw new EdgeError('not_found', 'ACME is not configured.')
    return c.body(null, 204)
  })

  return app
}

/** JSON that fits the schema, or `bad_request` that names the first field which does not. */
function readJson<T>(text: string, schema: z.ZodType<T>): T {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new EdgeError('bad_request', `The body is not JSON: ${(error as Error).message}`)
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  throw new EdgeError('bad_request', `${issue.path.join('.') || 'body'}: ${issue.message}`)
}

function present({ notBefore, notAfter, storedAt, ...record }: CertificateRecord) {
  return { ...record, notBefore: dateOf(notBefore), notAfter: dateOf(notAfter), storedAt: dateOf(storedAt) }
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString()
}
