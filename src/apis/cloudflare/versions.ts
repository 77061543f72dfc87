/** Versions and deployments: upload without traffic, look, gradual rollout, roll-back; secrets of the latest version. */
import { Hono } from 'hono'
import { z } from 'zod'
import type { CloudflareApiDeps } from './deps.ts'
import { ok } from './envelope.ts'
import { annotations, readJson } from './read-json.ts'
import { readUpload } from './read-upload.ts'
import { deploymentView, versionView } from './wire.ts'

const deployment = z.strictObject({
  strategy: z.literal('percentage').default('percentage'),
  versions: z.array(z.strictObject({ version_id: z.string(), percentage: z.number() })),
  annotations,
  // Objects move to new code at once; there is nothing to defer.
  code_update_strategy: z.record(z.string(), z.unknown()).nullish(),
})

const latestPatch = z.strictObject({
  env: z
    .record(
      z.string().min(1),
      z.union([z.null(), z.strictObject({ type: z.literal('secret_text'), text: z.string() })]),
    )
    .default({}),
  annotations,
})

export function versionRoutes(deps: CloudflareApiDeps): Hono {
  const { control, limits, clock } = deps
  const script = '/accounts/:account/workers/scripts/:name'
  const routes = new Hono()

  /** Is the one version asked for older than all that serve? The history calls that a rollback. */
  const goesBack = async (name: string, parts: readonly { readonly version_id: string }[]) => {
    const serving = control.program(name).rollouts[0]?.parts ?? []
    const id = parts[0]?.version_id ?? ''
    if (parts.length !== 1 || serving.length === 0 || !control.program(name).versions.includes(id)) return false
    const wanted = await control.version(name, id)
    const others = await Promise.all(serving.map((part) => control.version(name, part.version)))
    return others.every((version) => version.number > wanted.number)
  }

  routes.post(`${script}/versions`, async (c) => {
    const name = c.req.param('name')
    const stage = control.stage({ kind: 'program', id: name })
    try {
      const { upload, notes } = await readUpload(c, name, { ...deps, now: clock(), stage })
      const { version } = await control.upload(name, upload, { deploy: false })
      return ok(c, versionView(version), { messages: notes })
    } finally {
      stage.release()
    }
  })

  routes.get(`${script}/versions`, async (c) => {
    const all = await control.versions(c.req.param('name'))
    return ok(c, { items: all.map(versionView) })
  })

  routes.get(`${script}/versions/:version`, async (c) =>
    ok(c, versionView(await control.version(c.req.param('name'), c.req.param('version')))),
  )

  routes.get(`${script}/deployments`, (c) => {
    const { rollouts, versions } = control.program(c.req.param('name'))
    // wrangler asks for every version that it sees here; those that fell off are gone.
    const whole = rollouts.filter(({ parts }) => parts.every((part) => versions.includes(part.version)))
    return ok(c, { deployments: whole.map(deploymentView) })
  })

  routes.post(`${script}/deployments`, async (c) => {
    const wish = await readJson(c, deployment, limits.metadataBytes)
    const message = wish.annotations['workers/message']
    const name = c.req.param('name')
    const { rollout } = await control.setRollout(name, {
      parts: wish.versions.map(({ version_id, percentage }) => ({ version: version_id, percent: percentage })),
      source: (await goesBack(name, wish.versions)) ? 'rollback' : 'promotion',
      ...(message !== undefined && { message }),
    })
    const messages =
      wish.code_update_strategy == null
        ? []
        : ['code_update_strategy has no effect: Durable Objects move to new code at once.']
    return ok(c, deploymentView(rollout), { messages })
  })

  routes.patch('/accounts/:account/workers/workers/:name/versions/latest', async (c) => {
    const { env, annotations } = await readJson(c, latestPatch, limits.metadataBytes)
    const message = annotations['workers/message']
    const tag = annotations['workers/tag']
    const secrets = Object.fromEntries(Object.entries(env).map(([name, one]) => [name, one?.text ?? null]))
    const { version } = await control.changeSecrets(
      c.req.param('name'),
      { secrets, source: 'secret', ...(message !== undefined && { message }), ...(tag !== undefined && { tag }) },
      { deploy: false },
    )
    return ok(c, versionView(version))
  })
  return routes
}
