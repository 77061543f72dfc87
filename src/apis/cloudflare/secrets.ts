/** Secrets: each change makes a new version of the program and deploys it. Their text never leaves again. */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { CloudflareApiDeps } from './deps.ts'
import { ok } from './envelope.ts'
import { readJson } from './read-json.ts'

const secret = z.strictObject({ name: z.string().min(1), text: z.string(), type: z.literal('secret_text') })
const bulk = z.strictObject({ secrets: z.record(z.string().min(1), z.union([z.null(), secret])) })

/** `nameOf` tells which program a call below `base` is about. */
export function secretRoutes(
  { control, limits }: Pick<CloudflareApiDeps, 'control' | 'limits'>,
  base = '/accounts/:account/workers/scripts/:name',
  nameOf = (c: Context) => c.req.param('name')!,
): Hono {
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

  routes.get(`${base}/secrets`, async (c) => ok(c, await list(nameOf(c))))

  routes.put(`${base}/secrets`, async (c) => {
    const { name, text } = await readJson(c, secret, limits.metadataBytes)
    await change(nameOf(c), { [name]: text })
    return ok(c, { name, type: 'secret_text' })
  })

  routes.delete(`${base}/secrets/:secret`, async (c) => {
    await change(nameOf(c), { [c.req.param('secret')]: null })
    return ok(c, null)
  })

  routes.patch(`${base}/secrets-bulk`, async (c) => {
    const { secrets } = await readJson(c, bulk, limits.metadataBytes)
    const texts = Object.entries(secrets).map(([name, one]) => [name, one?.text ?? null] as const)
    const program = nameOf(c)
    if (texts.length > 0) await change(program, Object.fromEntries(texts))
    else control.program(program)
    return ok(c, await list(program))
  })
  return routes
}
