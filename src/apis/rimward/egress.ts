/** `/rimward/v1/egress-rules`: what programs may reach besides public addresses (`rimward allow`). */
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { z } from 'zod'
import type { EgressRule, EgressRuleBook } from '#/control/egress-rules.ts'
import { EdgeError, toEdgeError } from '#/core/errors.ts'

export interface EgressRoutesOptions {
  readonly rules: EgressRuleBook
}

const ruleSchema = z.strictObject({ program: z.string().min(1).max(255), destination: z.string().min(1).max(300) })

const limited = bodyLimit({
  maxSize: 4096,
  onError: () => {
    throw new EdgeError('body_too_large', 'A rule is shorter than 4096 bytes.')
  },
})

/**
 * Paths begin at `/rimward/v1`. A rule is `{program, destination}`: a program's name or `*`, and an address, a network
 * (CIDR), a host, or one of address and host with a port. The caller has been authenticated.
 */
export function egressRoutes({ rules }: EgressRoutesOptions): Hono {
  const app = new Hono()

  app.onError((thrown, c) => {
    const error = toEdgeError(thrown)
    return c.json({ error: { code: error.code, message: error.message } }, error.row.status as 400)
  })

  app.get('/egress-rules', (c) => c.json({ rules: rules.list().map(present) }))

  app.post('/egress-rules', limited, async (c) => {
    const { program, destination } = readRule(await c.req.json().catch(() => undefined))
    return c.json(present(await rules.allow(program, destination)), 201)
  })

  app.delete('/egress-rules', async (c) => {
    const { program, destination } = readRule(c.req.query())
    if (!(await rules.remove(program, destination)))
      throw new EdgeError('not_found', `There is no rule that lets ${program} out to ${destination}.`)
    return c.body(null, 204)
  })

  return app
}

function readRule(given: unknown): z.infer<typeof ruleSchema> {
  if (given === undefined) throw new EdgeError('bad_request', 'The body is not JSON.')
  const parsed = ruleSchema.safeParse(given)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  throw new EdgeError('bad_request', `${issue.path.join('.') || 'body'}: ${issue.message}`)
}

function present({ program, destination, createdAt }: EgressRule) {
  return { program, destination, createdAt: new Date(createdAt).toISOString() }
}
