/** Programs as «services», «scripts» and «workers»: deploy, look, settings, delete. */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { Reconciliation } from '#/control/object-classes.ts'
import { Refusal } from '#/control/refusal.ts'
import { dispatchedParts } from '#/core/dispatch-names.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import { type CloudflareApiDeps, idOf } from './deps.ts'
import { ok, VendorError } from './envelope.ts'
import { doorTable } from './errors.ts'
import { tailConsumers } from './metadata.ts'
import { readJson } from './read-json.ts'
import { readUpload } from './read-upload.ts'
import { programSettings, scriptView, serviceView, settingsView, workerView } from './wire.ts'
import { namespaceId } from './wire-bindings.ts'

const nothing = z.union([z.null(), z.array(z.never()).length(0)])
const scriptSettings = z.strictObject({
  tags: z.array(z.string().max(200)).max(100).nullish(),
  observability: z.record(z.string(), z.unknown()).nullish(),
  logpush: z.union([z.literal(false), z.null()]).optional(),
  tail_consumers: tailConsumers.optional(),
  streaming_tail_consumers: nothing.optional(),
})

/** Deploys what the body of the call brings, and answers as Cloudflare does; `called` is what the answer calls the program. */
export async function deployUpload(
  c: Context,
  name: ProgramName,
  deps: Pick<CloudflareApiDeps, 'control' | 'limits' | 'clock' | 'resolveAssets'>,
  called = name,
): Promise<Response> {
  const { control, clock } = deps
  const stage = control.stage({ kind: 'program', id: name })
  try {
    const { upload, notes } = await readUpload(c, name, { ...deps, now: clock(), stage })
    const { program, version, objects } = await control.upload(name, upload, { deploy: true })
    const reconciled = objects !== undefined && 'created' in objects && reconciliationView(objects as Reconciliation)
    const result = {
      ...scriptView({ ...program, name: called }),
      deployment_id: version.id,
      etag: idOf(version.id),
      startup_time_ms: Math.round(version.startupMs),
      has_modules: version.code?.syntax === 'modules',
      has_assets: version.assets !== undefined,
      ...(reconciled && { exports_reconciliation: reconciled }),
    }
    return ok(c, result, { messages: notes })
  } finally {
    stage.release()
  }
}

export function scriptRoutes(deps: CloudflareApiDeps): Hono {
  const { control, limits } = deps
  const account = '/accounts/:account/workers'
  const routes = new Hono()
  const ordinary = () => control.programs().filter(({ name }) => dispatchedParts(name) === undefined)

  // Programs of dispatch namespaces have calls of their own; nobody gets at them by their inner names.
  routes.use(`${account}/:collection{services|scripts|workers}/:name/*`, (c, next) => {
    const name = c.req.param('name')
    const namespace = dispatchedParts(name)?.namespace
    if (!control.resources('dispatch').some(({ id }) => id === namespace)) return next()
    throw new Refusal('no_program', `There is no program '${name}'.`)
  })

  routes.get(`${account}/services/:name`, (c) => {
    const record = control.findProgram(c.req.param('name'))
    const { status, code } = doorTable.serviceMissing
    if (record === undefined) throw new VendorError(status, code, 'workers.api.error.service_not_found')
    return ok(c, serviceView(record))
  })
  routes.delete(`${account}/services/:name`, (c) => remove(c, c.req.param('name')))
  routes.delete(`${account}/scripts/:name`, (c) => remove(c, c.req.param('name')))

  async function remove(c: Context, name: string) {
    await control.removeProgram(name, { force: c.req.query('force') === 'true' })
    return ok(c, { id: name })
  }

  routes.get(`${account}/scripts`, (c) => ok(c, ordinary().map(scriptView)))

  routes.put(`${account}/scripts/:name`, (c) => deployUpload(c, c.req.param('name'), deps))

  /** The code as it was uploaded; several modules come as multipart/form-data, as on Cloudflare. */
  routes.get(`${account}/scripts/:name`, async (c) => {
    const record = control.program(c.req.param('name'))
    const { code } = await control.version(record.name, record.rollouts[0]?.parts[0]?.version)
    if (code === undefined) throw new VendorError(404, 10007, `'${record.name}' has no code, only assets.`)
    const form = new FormData()
    for (const module of code.modules) {
      const bytes = await control.readBlob(module.blob)
      if (bytes === undefined) throw new Error(`module ${module.name} of ${record.name} is missing`)
      if (code.syntax === 'script')
        return c.body(Uint8Array.from(bytes), 200, { 'content-type': 'application/javascript' })
      form.set(module.name, new File([Uint8Array.from(bytes)], module.name, { type: moduleTypes[module.kind] }))
    }
    const response = new Response(form)
    response.headers.set('cf-entrypoint', code.mainModule)
    return response
  })

  routes.get(`${account}/scripts/:name/settings`, async (c) => {
    const record = control.program(c.req.param('name'))
    return ok(c, settingsView(record, record.versions.length > 0 ? await control.version(record.name) : undefined))
  })
  routes.get(`${account}/scripts/:name/script-settings`, (c) =>
    ok(c, programSettings(control.program(c.req.param('name')))),
  )
  routes.patch(`${account}/scripts/:name/script-settings`, async (c) => {
    const name = c.req.param('name')
    const { tags, observability, tail_consumers: consumers } = await readJson(c, scriptSettings, limits.metadataBytes)
    const record = await control.changeProgram(name, {
      ...(tags !== undefined && { tags: tags ?? [] }),
      ...(consumers !== undefined && { tailConsumers: consumers }),
      ...(observability !== undefined && { observability: observability && JSON.stringify(observability) }),
    })
    return ok(c, programSettings(record))
  })

  routes.get(`${account}/workers/:name`, (c) => {
    const record = control.program(c.req.param('name'))
    return ok(c, workerView(record, control.hostnameSuffix, deps.dataPlane))
  })

  routes.get(`${account}/scripts/:name/references`, (c) => {
    const { incoming, outgoing, objects, outbounds } = control.references(c.req.param('name'))
    const service = ({ program, binding }: { program: string; binding: string }) => ({
      service: program,
      environment: 'production',
      name: binding,
    })
    const namespaces = objects.map(({ program, object }) => ({
      service: program,
      environment: 'production',
      name: program,
      durable_object_namespace_id: namespaceId(object, idOf),
      durable_object_namespace_name: object.className,
    }))
    return ok(c, {
      services: { incoming: incoming.map(service), outgoing: outgoing.map(service) },
      durable_objects: namespaces,
      dispatch_outbounds: outbounds.map(({ program, namespace, parameters }) => ({
        service: program,
        environment: 'production',
        name: program,
        namespace,
        params: parameters.map((name) => ({ name })),
      })),
    })
  })

  routes.get(`${account}/durable_objects/namespaces`, (c) => {
    const all = ordinary().flatMap((record) =>
      record.objects.map((object) => ({
        id: namespaceId(object, idOf),
        name: `${record.name}_${object.className}`,
        script: record.name,
        class: object.className,
        use_sqlite: object.storage === 'sqlite',
      })),
    )
    const perPage = Math.min(1000, Math.max(1, Number(c.req.query('per_page')) || 20))
    const page = Math.max(1, Number(c.req.query('page')) || 1)
    const result = all.slice((page - 1) * perPage, page * perPage)
    const result_info = { page, per_page: perPage, count: result.length, total_count: all.length }
    return ok(c, result, { result_info })
  })
  return routes
}

const moduleTypes = {
  esm: 'application/javascript+module',
  cjs: 'application/javascript',
  wasm: 'application/wasm',
  text: 'text/plain',
  data: 'application/octet-stream',
  json: 'application/json',
} as const

function reconciliationView({ created, deleted, renamed, done }: Reconciliation) {
  return {
    created,
    updated: [],
    deleted,
    renamed,
    transferred: [],
    transfer_pending: [],
    warnings: [],
    info: [],
    removable_entries: done,
  }
}
