/** Secrets: each change makes a new version of the program and deploys it. Their text never leaves again. */
import { Hono } from 'hono'
import { z } from 'zod'
import type { CloudflareApiDeps } from './deps.ts'
import { ok } from './envelope.ts'
import { readJson } from './read-json.ts'

const secret = z.strictObject({ name: z.string().min(1), text: z.string(), type: z.literal('secret_text') })
const bulk = z.strictObject({ secrets: z.record(z.string().min(1), z.union([z.null(), secret])) })

export function secretRoutes({ control, limits }: CloudflareApiDeps): Hono {
  const base = '/accounts/:account/workers/scripts/:name'
  const routes = new Hono()
  const change = (name: string, secrets: Record<string, string | null>) =>
    control.changeSecrets(name, { secrets, source: 'secret' }, { deploy: true })

  const list = async (program: string) => {
    if (control.program(program).versions.length === 0) return []
    const { bindings } = await control.version(program)
    return bindings
      .filter((binding) => binding.kind === 'secret' || (binding.kind === 'held' && binding.as === 'secret'))
      .map(({ name }) => ({ name, type: 'secret_text' as const }))
  }

  routes.get(`${base}/secrets`, async (c) => ok(c, await list(c.req.param('name'))))

  routes.put(`${base}/secrets`, async (c) => {
    const { name, text } = await readJson(c, secret, limits.metadataBytes)
    await change(c.req.param('name'), { [name]: text })
    return ok(c, { name, type: 'secret_text' })
  })

  routes.delete(`${base}/secrets/:secret`, async (c) => {
    await change(c.req.param('name'), { [c.req.param('secret')]: null })
    return ok(c, null)
  })

  routes.patch(`${base}/secrets-bulk`, async (c) => {
    const { secrets } = await readJson(c, bulk, limits.metadataBytes)
    const texts = Object.entries(secrets).map(([name, one]) => [name, one?.text ?? null] as const)
    const program = c.req.param('name')
    if (texts.length > 0) await change(program, Object.fromEntries(texts))
    else control.program(program)
    return ok(c, await list(program))
  })
  return routes
}
